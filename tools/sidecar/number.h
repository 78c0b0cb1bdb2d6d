/* Numbers in the text of commands and values, by Redis's rules. Pure functions. */
#ifndef SIDECAR_NUMBER_H
#define SIDECAR_NUMBER_H

#include "bytes.h"

/* Decimal, as it would be printed: no sign but '-', no leading zero or space, within 64 bits. */
bool number_parse(struct hf_slice text, int64_t *ret_number);
/* A cursor: decimal without sign, within 64 bits; leading zeros are possible. */
bool number_parse_unsigned(struct hf_slice text, uint64_t *ret_number);
/* What strtold() reads, all of it, without leading space and not NaN. */
bool number_parse_float(struct hf_slice text, long double *ret_number);

#define NUMBER_FLOAT_MAX 5120 /* bytes of the longest float in decimal, with its NUL */

/* With 17 digits behind the point, and no zeros at the end. Returns the length; 0: it did not fit. */
size_t number_print_float(long double number, char text[NUMBER_FLOAT_MAX]);

#endif
