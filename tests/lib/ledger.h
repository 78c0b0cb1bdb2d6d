/* Operations on a store, each of which follows from a seed and its number, and the account that says what a store must
 * hold after the first so many of them.
 *
 * One thread writes, so the changes of a store that has crashed are those of operations 1 to m, and of no other: whoever
 * finds the store needs to know two numbers, how many operations were begun and how many acknowledged, and m must lie
 * between them. Since the account is compared as a whole, a write that is lost, a value that nobody wrote, half a batch
 * and an increment that counts twice all show as an account that no m explains. */
#ifndef HF_LEDGER_H
#define HF_LEDGER_H

#include <holdfast.h>
#include <stdatomic.h>

#define LEDGER_KEYS 12
#define LEDGER_COUNTERS 3

/* May lie in memory that processes share. */
struct ledger {
    uint64_t seed;
    _Atomic uint64_t begun; /* operations 1 to this were begun */
    _Atomic uint64_t acked; /* ... and up to this the library has said that they are done */
};

/* Write operations until `last` is done: sets, deletes, changes of TTLs, increments, batches of them; values up to more
 * than a segment. Some are only handed over (hf_try_write), so that groups of several are synced at once.
 * Returns 0, or the code of the operation that failed. */
int ledger_write(struct ledger *ledger, struct hf *store, uint64_t last);

/* What a store holds; comparable with memcmp. */
struct account {
    struct account_key {
        uint64_t number; /* of the operation whose value it is; 0: it is not there */
        int64_t deadline_ms;
    } keys[LEDGER_KEYS];
    int64_t counters[LEDGER_COUNTERS];
};

/* Move the account on by one operation. */
void account_move(struct account *account, uint64_t seed, uint64_t number);
/* Read all that a store holds. 0, or a negative code with the sentence set: also when it holds what no operation wrote. */
int account_read(struct hf *store, struct account *ret_account);
/* Move an account on from after operation `from` until it is like `found`, at the latest after `to`.
 * Returns the number of the last operation in it, or -1 when none explains what was found. */
int64_t account_reach(struct account *account, uint64_t seed, uint64_t from, uint64_t to,
                      const struct account *found);
/* Ask of every key and counter whether it holds the text that the account says; NULL: it is not there. False: one does not. */
bool account_agrees(const struct account *account, bool (*holds)(const char *name, const char *text));

#endif
