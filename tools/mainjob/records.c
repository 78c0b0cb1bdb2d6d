/* Reading the iso-codes package. */
#include "records.h"

#include "story.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ISO_CODES_DIR "/usr/share/iso-codes/json"
#define FILE_BYTES_MAX (16u << 20)

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t len;

    if (!file || !text) {
        story_wrong("cannot read %s: %s (tools/setup installs iso-codes)", path, strerror(errno));
        free(text);
        text = NULL;
    } else {
        len = fread(text, 1, FILE_BYTES_MAX, file);
        text[len] = '\0';
    }
    if (file)
        fclose(file);
    return text;
}

static int add(struct records *records, const char *standard, const cJSON *item, const char *id_name)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, id_name);
    struct record *grown = realloc(records->all, (records->n + 1) * sizeof(*grown));
    struct record *record;

    if (!grown || !cJSON_IsString(id))
        return story_wrong("a record of iso_%s.json cannot be used", standard);
    records->all = grown;
    record = &records->all[records->n];
    record->value = cJSON_PrintUnformatted(item);
    if (!record->value || asprintf(&record->key, "iso:%s:%s", standard, id->valuestring) < 0) {
        free(record->value);
        return story_wrong("out of memory");
    }
    records->n++;
    return 0;
}

static int load(struct records *records, const char *standard, const char *id_name)
{
    char path[128], *text;
    const cJSON *item;
    cJSON *json;
    int rc = 0;

    snprintf(path, sizeof(path), ISO_CODES_DIR "/iso_%s.json", standard);
    text = read_file(path);
    if (!text)
        return -1;
    json = cJSON_Parse(text);
    free(text);
    if (!json)
        rc = story_wrong("%s is not valid JSON", path);
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, standard))
    {
        if (rc == 0)
            rc = add(records, standard, item, id_name);
    }
    cJSON_Delete(json);
    return rc;
}

int records_load(struct records *ret_records)
{
    struct records records = {0};
    int rc = load(&records, "3166-2", "code");

    if (rc == 0)
        rc = load(&records, "639-3", "alpha_3");
    if (rc != 0) {
        records_release(&records);
        return rc;
    }
    *ret_records = records;
    return 0;
}

void records_release(struct records *records)
{
    for (size_t i = 0; i < records->n; i++) {
        free(records->all[i].key);
        free(records->all[i].value);
    }
    free(records->all);
    *records = (struct records){0};
}
