/* Writes Redis commands as RESP. */
#include "command.h"

size_t hf__put_decimal(char *text, uint64_t number)
{
    char back[HF__DECIMAL_MAX];
    size_t n = 0;

    do {
        back[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < n; i++)
        text[i] = back[n - 1 - i];
    return n;
}

static void append(struct hf__command_writer *w, const void *data, size_t len)
{
    if (w->rc == 0)
        w->rc = hf__bytes_append(w->out, data, len);
}

/* "*3\r\n", "$5\r\n" */
static void append_length(struct hf__command_writer *w, char type, size_t length)
{
    char line[HF__DECIMAL_MAX + 4] = {type};
    size_t n = 1 + hf__put_decimal(line + 1, length);

    line[n++] = '\r';
    line[n++] = '\n';
    append(w, line, n);
}

void hf__command(struct hf__command_writer *w, size_t n_args, const char *name)
{
    w->n_commands++;
    append_length(w, '*', n_args);
    hf__arg_str(w, name);
}

void hf__arg(struct hf__command_writer *w, struct hf_slice arg)
{
    append_length(w, '$', arg.len);
    append(w, arg.data, arg.len);
    append(w, "\r\n", 2);
}

void hf__arg_str(struct hf__command_writer *w, const char *text)
{
    hf__arg(w, hf__slice_str(text));
}

void hf__arg_i64(struct hf__command_writer *w, int64_t number)
{
    char text[HF__DECIMAL_MAX];
    size_t n = 0;

    if (number < 0)
        text[n++] = '-';
    n += hf__put_decimal(text + n, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
    hf__arg(w, hf__slice(text, n));
}

void hf__arg_u64(struct hf__command_writer *w, uint64_t number)
{
    char text[HF__DECIMAL_MAX];

    hf__arg(w, hf__slice(text, hf__put_decimal(text, number)));
}
