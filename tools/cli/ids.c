/* Numbers of conflicts or parked entries. */
#include "ids.h"

#include <errno.h>
#include <stdlib.h>

bool cli_ids_add(struct cli_ids *ids, uint64_t id)
{
    size_t capacity = ids->capacity ? ids->capacity * 2 : 64;
    uint64_t *grown;

    if (ids->n == ids->capacity) {
        grown = capacity <= SIZE_MAX / sizeof(*grown) ? realloc(ids->ids, capacity * sizeof(*grown)) : NULL;
        if (!grown)
            return false;
        ids->ids = grown;
        ids->capacity = capacity;
    }
    ids->ids[ids->n++] = id;
    return true;
}

void cli_ids_release(struct cli_ids *ids)
{
    free(ids->ids);
    *ids = (struct cli_ids){0};
}

int cli_id(const struct cli *cli, const char *what, const char *text, uint64_t *ret_id)
{
    char *end = NULL;
    unsigned long long id;

    errno = 0;
    id = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || id == 0)
        return cli_fail(cli, CLI_USAGE, "%s: found \"%s\", expected a number from 1 on", what, text);
    *ret_id = id;
    return CLI_OK;
}

int cli_ids_take(const struct cli *cli, struct cli_ids *ids, const char *what, bool all, int argc, char **argv)
{
    int status = CLI_OK;
    uint64_t id;

    if (all == (argc > 0))
        return cli_fail(cli, CLI_USAGE, "expected either %ss or --all, found %s", what, all ? "both" : "neither");
    for (int i = 0; i < argc && status == CLI_OK; i++) {
        status = cli_id(cli, what, argv[i], &id);
        if (status == CLI_OK && !cli_ids_add(ids, id))
            status = cli_fail(cli, CLI_STORE, "out of memory");
    }
    return status;
}
