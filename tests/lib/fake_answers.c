/* What the fake Redis's answers share: errors, tokens, guards. */
#include "fake_answers.h"

#include "digest.h"
#include "errors.h"

#include <stdio.h>

/* ---- errors ---- */

struct hf_shared_error fake_error(enum hf_shared_class class, const char *reason)
{
    struct hf_shared_error error = {.class = class};

    snprintf(error.reason, sizeof(error.reason), "%s", reason);
    return error;
}

struct hf_shared_error fake_classify(const char *why)
{
    struct hf_shared_error error = {0};

    if (why)
        hf__redis_classify(hf__slice_str(why), &error);
    return error;
}

struct hf_shared_error fake_fenced(void)
{
    return fake_error(HF_SHARED_FENCE, "our session token was gone from Redis: nothing was applied");
}

struct hf_shared_error fake_error_of(enum fake_outcome outcome)
{
    if (outcome == FAKE_OOM)
        return fake_classify("OOM command not allowed when used memory > 'maxmemory'.");
    if (outcome == FAKE_REFUSE)
        return fake_classify(FAKE_WRONGTYPE);
    if (outcome == FAKE_RETRY)
        return fake_error(HF_SHARED_RETRY, "a racing writer");
    return fake_classify(NULL);
}

/* ---- who asks ---- */

bool fake_is_ours(const struct fake_session *session)
{
    return session->token[0] && fake_holds_text(fake_look(hf__slice_str(session->key)), session->token);
}

struct hf_shared_error fake_begin_script(const struct fake_session *session, struct fake_caller *ret_caller)
{
    const struct fake_key *key;
    const char *why;

    *ret_caller = fake_script_caller(&why);
    if (!why)
        why = fake_get(ret_caller, hf__slice_str(session->key), &key);
    if (why)
        return fake_classify(why);
    return fake_is_ours(session) ? fake_classify(NULL) : fake_fenced();
}

/* ---- what a key holds ---- */

bool fake_has_digest(const struct hf_shared_guard *guard, const struct fake_key *key)
{
    return !guard->absent &&
           memcmp(guard->digest, hf__version_id(fake_slice(&key->value), 0).digest, sizeof(guard->digest)) == 0;
}

bool fake_fits(const struct hf_shared_guard *guards, size_t n, const struct fake_key *key)
{
    for (size_t i = 0; i < n; i++) {
        if (key ? !key->type[0] && fake_has_digest(&guards[i], key) : guards[i].absent)
            return true;
    }
    return false;
}

struct fake_name fake_name_of(enum hf_shared_op op, struct hf_slice key, uint64_t lsn)
{
    return (struct fake_name){
        .op = op, .key = {.data = (void *)(uintptr_t)key.data, .len = key.len}, .lsn = lsn}; /* never written to */
}
