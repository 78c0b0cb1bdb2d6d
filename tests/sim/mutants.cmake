# The defences that the simulator must miss, by the numbers of their histories where they have one: name, source, histories within
# which it must fail, text, replacement, and what else the simulator is told.
hf_simulated_mutant(1_acknowledged_before_the_sync journal/journal.c 100
                    "        rc = fs->sync(fs, j->fd);\n" "        rc = fs ? 0 : -1;\n")
hf_simulated_mutant(2_live_increments_first core/link_lane.c 600
                    "    if (!link->lanes_done) /* one lane: older entries first */" "    if (false)")
hf_simulated_mutant(a_refused_request_holds_the_lane core/link_lane.c 2000
                    "    if (!parked || to - from < link->lane_sends.n)\n" "    (void)parked;\n" --often answer --seed 400)
hf_simulated_mutant(3_numbering_goes_on_behind_the_last_entry journal/journal.c 600
                    "uint64_t last = r->reserved_lsn > j->opts.reserved_lsn ? r->reserved_lsn : j->opts.reserved_lsn;"
                    "uint64_t last = r->last_lsn;")
hf_simulated_mutant(names_of_a_killed_opening_are_not_synced journal/journal.c 300
                    "    int rc = j->opts.fs->sync_dir(j->opts.fs, j->opts.dir);" "    int rc = 0;" --often kill --often power-cut)
hf_simulated_mutant(5_no_times_made_in_the_log core/link_send.c 2000
                    "bool late = s->replayed || now_ms - s->made_ms > LATE_MS;" "bool late = now_ms < 0;")
hf_simulated_mutant(9_a_row_forgets_what_was_sent_of_it core/checkpoint.c 1500
                    "    hf__pending_add_own(&row, &s->more->sent);\n" "" --often halt --often lose-log)
hf_simulated_mutant(9_a_row_forgets_the_live_write_that_it_was core/link_send.c 1500
                    "    if (!s->in_group || is_merged" "    if (!s->replayed || !s->in_group || is_merged" --often halt --often lose-log)
hf_simulated_mutant(10_an_unexplained_absence_wins core/judge.c 800
                    "(c->kind == HF_SHARED_ABSENT && !theirs_time_is_known(c))" "false" --often evict --often away)
hf_simulated_mutant(13_no_increment_is_retained core/settle.c 200
                    "        settled.what |= HF_LEFT_RETAIN;" "        settled.what |= 0;" --often lose-data)
hf_simulated_mutant(8_an_older_acknowledgement_clears_the_row backends/lmdb/pending.c 800
                    "    if (row.last_lsn > upto_lsn)\n" "    if (false)\n")
hf_simulated_mutant(11_what_has_died_is_read core/lookup.c 400
                    "    if (hf__is_expired(found->deadline_ms, look->now_ms))" "    if (false)")
hf_simulated_mutant(12_a_gap_in_the_log_is_nothing core/link_catchup.c 2000
                    "    if (page->gap) {" "    if (false) {" --often trim --often power-cut --seed 200)
hf_simulated_mutant(12_another_epoch_is_ours core/evidence.c 400
                    "strcmp(known->epoch, found->epoch) != 0" "false" --often lose-data)
hf_simulated_mutant(15_what_others_change_is_not_heard core/link_copies.c 2000
                    "            hf__link_doubt_copy(link, keys[i]);" "            (void)keys;")
