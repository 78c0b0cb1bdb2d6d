/* The data: the ISO 3166-2 and 639-3 records of Debian's iso-codes package. */
#ifndef MAINJOB_RECORDS_H
#define MAINJOB_RECORDS_H

#include <stddef.h>

struct record {
    char *key;   /* "iso:3166-2:AD-02" */
    char *value; /* the record's own JSON text */
};

struct records {
    struct record *all;
    size_t n;
};

/* 0, or -1 with the reason told. */
int records_load(struct records *ret_records);
void records_release(struct records *records);

#endif
