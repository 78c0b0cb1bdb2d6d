/* A plan that is carried out by programs which are killed: which operations were acknowledged, and what must then
 * be true of the store.
 *
 * Acknowledged: it is there. Not acknowledged: it may be there or not, but nothing else may be. The next writer
 * does those again, except increments that a killed writer had begun: what became of them is read from the store.
 */
#ifndef MAINJOB_RUN_H
#define MAINJOB_RUN_H

#include "child.h"
#include "model.h"

enum run_state { RUN_UNSENT = 0, RUN_BEGUN, RUN_ACKED };

struct run {
    struct plan plan;
    enum plan_part part;
    int64_t start_ms;
    enum run_state *states; /* one for each operation */
    size_t n_acked;
    size_t n_unsure; /* increments begun and not acknowledged */
};

/* 0, or -1 with the reason told. */
int run_init(struct run *run, enum plan_part part, const struct records *records, int64_t start_ms);
void run_release(struct run *run);

void run_acked(struct run *run, size_t number);

/* Start a writer (a copy of this program) on everything that is to be done, and kill it after `kill_after` further
 * acknowledgements; 0: let it finish. 0, or -1 with the reason told. */
int run_writer(struct run *run, const char *self, const char *dir, const char *address, size_t kill_after);

/* Compare the store with the model and the operations' states. */
void run_check(const struct run *run, struct hf *store, const struct model *model);

/* When everything is done: bring the model up to date. Counters with unsure increments are taken from the store,
 * where they must be within bounds. 0, or -1 with the reason told. */
int run_finish(const struct run *run, struct hf *store, struct model *model);

#endif
