/* Writes commands for Redis. */
#include "request.h"

#include <stdio.h>

static int put_head(struct hf_bytes *bytes, char sign, size_t n)
{
    char text[24];

    return hf__bytes_append(bytes, text, (size_t)snprintf(text, sizeof(text), "%c%zu\r\n", sign, n));
}

static int put_argument(struct hf_bytes *bytes, struct hf_slice argument)
{
    int rc = put_head(bytes, '$', argument.len);

    if (rc == 0)
        rc = hf__bytes_append(bytes, argument.data, argument.len);
    return rc == 0 ? hf__bytes_append(bytes, "\r\n", 2) : rc;
}

int request_add(struct hf_bytes *bytes, size_t argc, const struct hf_slice *argv)
{
    int rc = put_head(bytes, '*', argc);

    for (size_t i = 0; i < argc && rc == 0; i++)
        rc = put_argument(bytes, argv[i]);
    return rc;
}

int request_add_word(struct hf_bytes *bytes, const char *word)
{
    struct hf_slice name = hf__slice_str(word);

    return request_add(bytes, 1, &name);
}
