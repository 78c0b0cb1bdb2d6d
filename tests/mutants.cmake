# The defences of the histories, one mutant each (a loop in one of them only widens the window of a race): name, test file, test, source, text, replacement.
hf_mutant(8_no_own_log_entries integration/test_histories.c *8_our_own* core/link_catchup.c
          "    if (strcmp(change->node, link->store->node) != 0)" "    if (true)")
hf_mutant(8_no_shared_lsn_in_headers integration/test_histories.c *8_group_headers* journal/recover.c
          "    if (lsn > recovery->shared_lsn)" "    if (true)")
hf_mutant(18_no_limit_by_the_owners_durable_lsn_and_oldest integration/test_histories.c *18_a_reader_in_another*
          core/reader.c "(rc != 0 || hf__control_oldest_lsn(store->control) > covered + 1)" "false")
hf_mutant(18_snapshot_before_overlay integration/test_histories.c *18_a_reader_in_the_process* core/lookup.c
          "    hf__view_pin(&store->overlay, &ret_look->view);\n    return 0;"
          "    int rc = store->local->ops->snap_begin(store->local, &ret_look->snap);\n    for (volatile int i = 0; i < 100000; i++)\n        ;\n    hf__view_pin(&store->overlay, &ret_look->view);\n    return rc;")
hf_mutant(21_no_isolation_of_what_kills_the_link integration/test_histories.c *21_* core/link_send.c
          "    return link->suspect_losses > 1 ? 1 : max;" "    (void)link;\n    return max;")
hf_mutant(1_no_watch_over_the_session_token integration/test_redis_link.c *fence__late_group_of* backends/redis/groups.c
          "    hf__command(w, 2, \"WATCH\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");"
          "    hf__command(w, 2, \"EXISTS\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");")
hf_mutant(20_no_script_that_frees_first integration/test_redis_link.c *oom__sets_are_a_state* backends/redis/groups.c
          "    if (is_oom(run) && is_freeing(run->group)) {" "    if (false) {")
hf_mutant(no_watch_over_examined_keys integration/test_examine.c *watch__what_another* backends/redis/examine.c
          "hf__command(w, 1 + examine->n_keys, \"WATCH\")" "hf__command(w, 1 + examine->n_keys, \"EXISTS\")")
hf_mutant(23_short_keys_before_long_ones unit/test_lmdb_tier.c *exact_order* backends/lmdb/iterator.c
          "    return hf__slice_cmp(a->key, b->key) < 0 ? a : b;" "    return a;")
hf_mutant(3_numbering_goes_on_behind_the_last_entry unit/test_journal.c *gives_no_lsn_twice* journal/journal.c
          "uint64_t last = r->reserved_lsn > j->opts.reserved_lsn ? r->reserved_lsn : j->opts.reserved_lsn;"
          "uint64_t last = r->last_lsn;")
hf_mutant(7_bad_then_valid_is_damage unit/test_journal.c *a_power_cut_is_a_torn_tail* journal/recover.c
          "if (claim < group->first_lsn - 1) {" "if (false) {")
hf_mutant(7_what_was_cut_may_return unit/test_recover.c *what_an_earlier_recovery_cut_stays_cut* journal/recover.c
          "group->first_lsn - (group->n_entries == 0) > limit" "false")
hf_mutant(17_one_wild_answer_is_believed unit/test_clock.c *one_wild_sample* core/shared_clock.c
          "        if (!hf__shared_clock_confirm(clock, sample))\n            return false;" "        (void)hf__shared_clock_confirm(clock, sample);")
hf_mutant(17_the_wall_clock_decides_within_a_boot unit/test_clock.c *deadlines_are_exact_within_a_boot* core/timeline.c
          "return id[0] && strcmp(id, saved->boot_id) == 0 &&" "return false && strcmp(id, saved->boot_id) == 0 &&")
hf_mutant(17_opening_saves_no_time unit/test_clock.c *after_a_crash_in_a_new_boot* core/store.c
          "if (!atomic_load(&store->time.unsaved) ||" "if (true ||")
hf_mutant(17_an_unknown_time_is_swept unit/test_clock.c *flagged_or_hidden* core/checkpoint.c
          "        return 0; /* what is removed cannot come back */" "        run->more_expired = false;")
hf_mutant(17_one_answer_ends_the_unknown_time unit/test_clock.c *redis_ends_the_unknown_time* core/timeline.c
          "    if (!hf__shared_clock_confirm(&t->shared, sample))\n        return false;" "    (void)hf__shared_clock_confirm(&t->shared, sample);")
hf_mutant(17_the_link_waits_for_no_second_answer unit/test_clock.c *slower_clock* core/link.c
          "    return link->asks_time || hf__time_is_unknown(link->store);" "    return hf__time_is_unknown(link->store);")
hf_mutant(bounds_what_was_settled_stays_counted unit/test_bounds.c *nothing_is_refused* core/pending_bounds.c
          "    before = uncount(g, node);" "    before = 0;\n    (void)uncount;")
hf_mutant(bounds_a_key_counts_twice unit/test_bounds.c *counted_as_in_a_model* core/pending_bounds.c
          "    else if (!counted)" "    else")
hf_mutant(bounds_drop_without_a_gap unit/test_bounds.c *exactly_the_oldest* core/pending_drop.c
          "        rc = leave_gap(t, row->key, row->last_lsn, row->made_ms);" "        rc = 0;")
hf_mutant(outage_local_without_a_gap unit/test_outage_policy.c *survive_a_kill* core/drain.c
          "    return store->local->ops->gap_put(txn, &gap);" "    return 0;")
hf_mutant(outage_local_value_as_base unit/test_outage_policy.c *knows_no_base* core/drain.c
          "    if (local || (v && is_unshared(v)))" "    if (false)")
hf_mutant(outage_refuse_reads_the_copy unit/test_outage_policy.c *revoked_token* core/read.c
          "        return r->live || !r->result.pending;"
          "        return false;")
hf_mutant(lmdb_no_seal_of_conflicts unit/test_lmdb_logs.c *every_wrong_byte* backends/lmdb/conflict.c
          "!hf__lmdb_sealed(table_key, stored)" "false")
hf_mutant(lmdb_short_gaps_before_long_ones unit/test_lmdb_logs.c *any_operations* backends/lmdb/gaps.c
          "hf__slice_cmp(a.key, b.key) < 0" "true")
hf_mutant(1_no_watch_over_the_session_token_live integration/test_lost_answers.c *late_requests__at_every_boundary_of_live* backends/redis/groups.c
          "    hf__command(w, 2, \"WATCH\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");"
          "    hf__command(w, 2, \"EXISTS\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");")
hf_mutant(conflicts_requeue_is_not_recovered unit/test_conflicts.c *kill_9_at_any_point_of_a_requeue* core/unlist.c
          "store->read_only || hf__settle_unlist" "true || hf__settle_unlist")
hf_mutant(conflicts_unlisted_by_any_commit unit/test_conflicts.c *a_commit_takes_nothing_off_before* core/settle.c
          "HF_LEFT_GAP | HF_LEFT_UNPARK | HF_LEFT_RESOLVE" "HF_LEFT_GAP")
hf_mutant(conflicts_mark_moves_past_what_is_in_doubt unit/test_conflicts.c *in_doubt_that_does_not_fit* core/link_lane.c
          "    if (parked) /*" "    if (parked || true) /*")
hf_mutant(conflicts_last_settlements_are_not_told unit/test_conflicts.c *what_settles_while* core/done.c
          "    tell_all(store);\n    pthread_mutex_destroy" "    pthread_mutex_destroy")
