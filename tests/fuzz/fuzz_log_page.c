/* Fuzz target: what a server says in answer to a page of a change log, as bytes of RESP that hiredis has read. Changes that are told lie
 * within the answer and within their entry's bounds; and any error text is classified. */
#include "fuzz.h"
#include "tier.h"

#include <inttypes.h>
#include <stdio.h>

struct heard {
    uint64_t n;
    char after_id[48];
};

static void hear(void *ctx, const struct hf_shared_change *change)
{
    struct heard *heard = ctx;

    FUZZ_REQUIRE(change->key.len > 0 && change->op >= HF_SHARED_SET && change->op <= HF_SHARED_INCR);
    FUZZ_REQUIRE(change->lsn <= change->last_lsn && change->uncertainty_ms >= 0 && change->made_ms >= 0);
    FUZZ_REQUIRE(strlen(change->node) < 64 && strlen(change->id) < sizeof(heard->after_id));
    heard->n++;
}

/* Whole canonical decimals: they print as the same text again. */
static void check_numbers(struct hf_slice text)
{
    int64_t number = 0;
    uint64_t natural = 0;
    char printed[32];
    bool is = hf__parse_i64(text, &number), is_natural = hf__parse_u64(text, &natural);

    snprintf(printed, sizeof(printed), "%" PRId64, number);
    FUZZ_REQUIRE(!is || hf__slice_eq(text, hf__slice_str(printed)));
    snprintf(printed, sizeof(printed), "%" PRIu64, natural);
    FUZZ_REQUIRE(!is_natural || hf__slice_eq(text, hf__slice_str(printed)));
}

/* Every accessor takes any reply. */
static void look_at(const redisReply *reply, unsigned depth)
{
    struct hf_shared_error error;
    int64_t number = 0;
    char text[16];

    if (hf__reply_error(reply, &error)) {
        FUZZ_REQUIRE(error.class != HF_SHARED_OK && strlen(error.reason) < sizeof(error.reason));
        FUZZ_REQUIRE(!error.oom || error.class == HF_SHARED_STATE || error.class == HF_SHARED_RETRY);
    }
    if (hf__reply_copy(reply, text, sizeof(text)))
        FUZZ_REQUIRE(hf__reply_is_text(reply, text));
    FUZZ_REQUIRE(!hf__reply_time_ms(reply, &number) || number >= 0);
    (void)hf__reply_i64(reply, &number);
    check_numbers(hf__reply_text(reply));
    FUZZ_REQUIRE(hf__reply_is_nil(reply) + hf__reply_is_error(reply) + hf__reply_is_array(reply, 0) <= 1);
    for (size_t i = 0; depth < 8 && hf__reply_is_array(reply, 0) && i < reply->elements; i++)
        look_at(reply->element[i], depth + 1);
}

static void read_page(redisReader *reader, struct hf__redis *tier, struct hf_shared_log_page *page)
{
    struct hf__page_read read;

    if (hf__page_check(page) != 0) {
        fuzz_require_sentence(hf_errmsg());
        return;
    }
    hf__page_begin(&read, page);
    for (size_t i = 0; i < HF__PAGE_REPLIES; i++) {
        void *reply = NULL;

        if (redisReaderGetReply(reader, &reply) != REDIS_OK || !reply)
            break;
        look_at(reply, 0);
        hf__page_answer(tier, &read, reply, i);
        freeReplyObject(reply);
    }
    FUZZ_REQUIRE(memchr(page->after_id, '\0', sizeof(page->after_id)) != NULL);
    FUZZ_REQUIRE(!(page->gap && page->missing));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hf__redis tier;
    struct fuzz_input in = {data, size};
    struct hf_slice after = fuzz_until(&in, '\n');
    struct heard heard = {0};
    struct hf_shared_log_page page = {.count = 1 + after.len % 3, .each = hear, .ctx = &heard};
    redisReader *reader = redisReaderCreate();

    snprintf(page.after_id, sizeof(page.after_id), "%.*s", (int)(after.len % 47), (const char *)after.data);
    page.backwards = after.len % 5 == 4;
    reader->maxelements = 1024; /* ours has a bound, too, a larger one */
    redisReaderFeed(reader, (const char *)in.p, in.left);
    read_page(reader, &tier, &page);
    redisReaderFree(reader);
    return 0;
}
