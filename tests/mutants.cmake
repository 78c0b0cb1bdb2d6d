# The defences of the histories, one mutant each: name, test file, test, source, text, replacement.
hf_mutant(8_no_own_log_entries integration/test_histories.c *8_our_own* core/link_catchup.c
          "    if (!own) {" "    if (true) {")
hf_mutant(8_no_shared_lsn_in_headers integration/test_histories.c *8_group_headers* journal/recover.c
          "    if (lsn > recovery->shared_lsn)" "    if (true)")
hf_mutant(18_what_the_owner_dropped_is_missed integration/test_histories.c *18_what_was_dropped*
          core/reader.c "(rc != 0 || hf__control_oldest_lsn(store->control) > covered + 1)" "false")
hf_mutant(18_snapshot_before_overlay integration/test_histories.c *18_a_checkpoint_between* core/lookup.c
          "    hf__view_pin(&store->overlay, &ret_look->view);\n    return 0;"
          "    int rc = store->local->ops->snap_begin(store->local, &ret_look->snap);\n    hf__view_pin(&store->overlay, &ret_look->view);\n    return rc;")
hf_mutant(21_no_isolation_of_what_kills_the_link integration/test_histories.c *21_* core/link_send.c
          "    return link->suspect_losses > 1 ? 1 : max;" "    (void)link;\n    return max;")
hf_mutant(1_no_watch_over_the_session_token integration/test_redis_link.c *fence__late_group_of* backends/redis/groups.c
          "    hf__command(w, 2, \"WATCH\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");"
          "    hf__command(w, 2, \"EXISTS\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");")
hf_mutant(what_was_not_made_is_named integration/test_redis_link.c *make__the_rest_is_made* backends/redis/scripts.c
          "local made = redis.call('GET', KEYS[1]) == ARGV[1]" "local made = true")
hf_mutant(making_does_not_look_at_the_log integration/test_redis_link.c *make__nothing_is_made_before* backends/redis/scripts.c
          "    if j == 100 or entries[j][2][2] ~= ARGV[1] then return 0 end" "    if j == 101 then return 0 end")
hf_mutant(making_needs_no_latch integration/test_redis_link.c *make__nothing_is_made_before* backends/redis/group_commands.c
          "    hf__command(w, 3 + 2 * group->n_items, \"MSETNX\");\n    write_latch(w, tier);"
          "    hf__command(w, 3 + 2 * group->n_items, \"MSETNX\");\n    hf__arg_str(w, \"_hf:session:other\");")
hf_mutant(20_no_script_that_frees_first integration/test_redis_link.c *oom__sets_are_a_state* backends/redis/groups.c
          "    if (is_oom(run) && is_freeing(run->group)) {" "    if (false) {")
hf_mutant(a_reset_is_no_close integration/test_redis_link.c *killed__is_told_as_a_close* backends/redis/wire.c
          "    else if (error_number == ECONNRESET)" "    else if (error_number == -1)")
hf_mutant(no_watch_over_examined_keys integration/test_examine.c *watch__what_another* backends/redis/examine.c
          "hf__command(w, 1 + examine->n_keys, \"WATCH\")" "hf__command(w, 1 + examine->n_keys, \"EXISTS\")")
hf_mutant(23_short_keys_before_long_ones unit/test_lmdb_tier.c *exact_order* backends/lmdb/iterator.c
          "    return hf__slice_cmp(a->key, b->key) < 0 ? a : b;" "    return a;")
hf_mutant(places_outlive_their_commit unit/test_snapshots.c *every_look_finds* backends/lmdb/places.c
          "        if (place->commit == commit && " "        (void)commit;\n        if (")
hf_mutant(a_table_that_is_gone_is_counted unit/test_snapshots.c *makes_room_for_another* backends/lmdb/places.c
          "    atomic_fetch_sub(&snap->tier->n_place_buckets, snap->places->n_buckets);\n" "")
hf_mutant(a_table_of_places_stays_small unit/test_snapshots.c *a_table_grows* backends/lmdb/places.c
          "    places->pressure += CROWDED;\n" "")
hf_mutant(a_table_of_places_grows_without_need unit/test_snapshots.c *a_table_grows* backends/lmdb/places.c
          "            snap->places->pressure -= snap->places->pressure > 0;\n" "")
hf_mutant(the_link_does_not_look_at_settings integration/test_cli_operator.c *idle_owner_is_paused* core/link.c
          "    hf__link_check_operator(link->store);\n" "")
hf_mutant(a_lost_link_wakes_nobody integration/test_cli_operator.c *idle_owner_is_paused* core/link.c
          "        hf__checkpoint_wake(link->store);\n" "        (void)link;\n")
hf_mutant(a_rest_outlasts_deadlines integration/test_outage.c *idle_store_removes* core/checkpoint.c
          "    if (left_ms < 0 || left_ms > IDLE_REST_MS)" "    if (left_ms != 0)")
hf_mutant(resting_snapshots_keep_pages unit/test_snapshots.c *at_rest_keeps_no_pages* backends/lmdb/txn.c
          "    hf__lmdb_pool_reset_old(tier);\n" "")
hf_mutant(a_resting_snapshot_is_always_current unit/test_snapshots.c *covers_is_that_of_the_last* backends/lmdb/snapshot.c
          "snap->is_live && snap->n_commits == atomic_load(&snap->tier->n_commits)" "snap->is_live")
hf_mutant(nobody_waits_for_the_order unit/test_overlay.c *every_one_of_the_first_walkers* core/overlay.c
          "    struct hf_node *node;\n\n    pthread_mutex_lock(&g->order);"
          "    struct hf_node *node;\n\n    if (!atomic_load(&g->fresh))\n        return;\n    pthread_mutex_lock(&g->order);")
hf_mutant(3_numbering_goes_on_behind_the_last_entry unit/test_journal.c *gives_no_lsn_twice* journal/journal.c
          "uint64_t last = r->reserved_lsn > j->opts.reserved_lsn ? r->reserved_lsn : j->opts.reserved_lsn;"
          "uint64_t last = r->last_lsn;")
hf_mutant(7_bad_then_valid_is_damage unit/test_journal.c *a_power_cut_is_a_torn_tail* journal/recover.c
          "if (claim < group->first_lsn - 1) {" "if (false) {")
hf_mutant(7_what_was_cut_may_return unit/test_recover.c *what_an_earlier_recovery_cut_stays_cut* journal/recover.c
          "group->first_lsn - (group->n_entries == 0) > limit" "false")
hf_mutant(17_one_wild_answer_is_believed unit/test_clock.c *one_wild_sample* core/shared_clock.c
          "        if (!hf__shared_clock_confirm(clock, sample))\n            return false;" "        (void)hf__shared_clock_confirm(clock, sample);")
hf_mutant(17_one_wild_first_answer_is_believed unit/test_clock.c *wild_first_answers* core/shared_clock.c
          "        if (!may_begin_with(clock, sample))\n            return false;" "        (void)may_begin_with(clock, sample);")
hf_mutant(17_one_past_time_answers_for_another unit/test_clock.c *whatever_was_asked_before* core/turn.c
          "memo->ms == 0 || memo->span != span" "memo->ms == 0")
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
hf_mutant(bounds_a_gap_is_compared_never unit/test_bounds.c *compared_at_the_next_reconcile* core/link_sweep.c
          "        if (!sweep->gaps_done) {" "        if (!sweep->gaps_done && false) {")
hf_mutant(outage_local_without_a_gap unit/test_outage_policy.c *survive_a_kill* core/drain.c
          "    return store->local->ops->gap_put(txn, &gap);" "    return 0;")
hf_mutant(outage_local_value_as_base unit/test_outage_policy.c *knows_no_base* core/drain.c
          "    if (local || (v && hf__version_is_unshared(v)))" "    if (false)")
hf_mutant(outage_refuse_reads_the_copy unit/test_outage_policy.c *without_an_answer_to_a_read* core/read.c
          "        return r->live || !r->result.pending;"
          "        return false;")
hf_mutant(damaged_rows_have_an_age unit/test_lmdb_tier.c *a_damaged_*being_counted* backends/lmdb/stats.c
          "    while (rc == HF_ECORRUPT && row.first_lsn < UINT64_MAX)" "    while (false)")
hf_mutant(damaged_rows_stop_the_replay unit/test_damaged_rows.c *keeps_nothing_else_back* core/link_replay.c
          "        if (rc == HF_ECORRUPT) /* what is owed" "        if (false) /* what is owed")
hf_mutant(damaged_rows_stop_the_checkpoints unit/test_damaged_rows.c *replaced_by* core/drain.c
          "    bool is_damaged = rc == HF_ECORRUPT;" "    bool is_damaged = false;")
hf_mutant(lmdb_no_seal_of_conflicts unit/test_lmdb_logs.c *every_wrong_byte* backends/lmdb/conflict.c
          "!hf__lmdb_sealed(table_key, stored)" "false")
hf_mutant(lmdb_short_gaps_before_long_ones unit/test_lmdb_logs.c *any_operations* backends/lmdb/gaps.c
          "hf__slice_cmp(a.key, b.key) < 0" "true")
hf_mutant(1_no_watch_over_the_session_token_live integration/test_lost_answers.c *late_requests__at_every_boundary_of_live* backends/redis/groups.c
          "    hf__command(w, 2, \"WATCH\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");"
          "    hf__command(w, 2, \"EXISTS\");\n    hf__arg_str(w, conn->session_key);\n    hf__command(w, 2, \"GET\");")
hf_mutant(2_live_increments_first unit/test_link_histories.c *2_live_increments* core/link_lane.c
          "    if (!link->lanes_done) /* one lane: older entries first */" "    if (false)")
hf_mutant(2_no_mark_is_compared integration/test_redis_link.c *lane__other_mark* backends/redis/scripts.c
          "if mark ~= ARGV[2] then return {'M', mark} end" "")
hf_mutant(2_a_requeued_increment_keeps_its_lsn integration/test_reconcile_histories.c *2_a_requeued* core/parked.c
          "        rc = hf__write_unlisting(store, &op, &unlist, ret_result);"
          "    {\n        bool hf__settle_relane(struct hf *store, const struct hf_lane_entry *entry);\n        struct hf_lane_entry old = {.lsn = parked->lsn, .op = HF_LANE_INCR, .delta = parked->delta, .key = parked->key};\n        rc = hf__settle_relane(store, &old) ? hf__unlist_alone(store, &unlist, \"parked-requeue\") : HF_ENOMEM;\n        (void)op, (void)ret_result;\n    }")
hf_mutant(4_no_look_at_types_before_writing integration/test_redis_link.c *lane__bad_operation* backends/redis/scripts.c
          "if kind ~= 'none' and kind ~= 'string' then" "if false then")
hf_mutant(5_no_times_made_in_the_log integration/test_reconcile_histories.c *_5_* core/link_send.c
          "bool late = s->replayed || now_ms - s->made_ms > LATE_MS;" "bool late = now_ms < 0;")
hf_mutant(6_equal_values_settle_the_deadline integration/test_reconcile_histories.c *6_a_value_that_is_there* core/judge.c
          "        set_deadline(c, HF_OUTCOME_ALREADY, ret);" "        ret->outcome = HF_OUTCOME_ALREADY;")
hf_mutant(already_applied_is_a_conflict unit/test_judge.c *every_cell* core/judge.c
          "    } else if (ours == SAME) {
        ret->send = 0;" "    } else if (false) {
        ret->send = 0;")
hf_mutant(9_no_own_versions_in_rows unit/test_link.c *live_write_from_before_a_crash* core/drain.c
          "if (atomic_load(&v->sent) && !is_ttl_op(v))" "if (false)")
hf_mutant(9_a_row_of_an_earlier_life_was_not_sent unit/test_link.c *from_before_a_crash* core/drain.c
          "    else if (row->last_lsn <= store->opened_lsn" "    else if (false")
hf_mutant(9_a_verdict_over_a_newer_write unit/test_link_histories.c *9_a_write_behind* core/write.c
          "is_newest(store, key, lsn) && hf__settle_verdict" "hf__settle_verdict")
hf_mutant(10_an_unexplained_absence_wins integration/test_reconcile_histories.c *10_an_evicted* core/judge.c
          "(c->kind == HF_SHARED_ABSENT && !theirs_time_is_known(c))" "false")
hf_mutant(10_a_dead_base_is_a_change integration/test_reconcile_histories.c *10_a_base_that_has_died* core/judge.c
          "return SAME; /* it has died of itself */" "return DIFFERENT;")
hf_mutant(11_the_longest_life_wins_always integration/test_reconcile_histories.c *11_a_life_made_shorter* core/judge.c
          "    return theirs_changed ? longer" "    return theirs_changed || true ? longer")
hf_mutant(no_ttl_is_not_the_longest_life integration/test_reconcile.c *lives_changed_while_away* core/judge.c
          "    if (a == 0 || b == 0)\n        return 0;\n    return a > b ? a : b;" "    return a > b ? a : b;")
hf_mutant(11_increments_carry_no_deadline integration/test_reconcile_histories.c *11_an_increment* core/link_lane.c
          ".deadline_ms = hf__turn_to_redis_ms(&link->turn, e->deadline_ms)" ".deadline_ms = 0")
hf_mutant(12_copies_that_others_had_changed_are_given_back unit/test_link_histories.c *others_had_changed* core/link_resend.c
          "        return !hf__notes_find(&r->changed, key);" "        return true;")
hf_mutant(12_what_is_given_up_is_made_good_at_once unit/test_link_histories.c *told_by_the_next_opening* core/link_cursors.c
          "    if (ns->losing || atomic_load(&ns->adopt))" "    if (ns->losing)")
hf_mutant(12_another_epoch_is_ours integration/test_reconcile_histories.c *12_a_flush* core/evidence.c
          "strcmp(known->epoch, found->epoch) != 0" "false")
hf_mutant(12_reseed_over_what_is_there integration/test_reconcile_histories.c *12_an_empty_restart* core/judge.c
          "    else if (!older || theirs_has_ended(c))" "    else if (false)")
hf_mutant(copies_that_are_compared_are_given_up_at_a_pause unit/test_link_histories.c *a_pause_waits* core/link_operator.c
          " && !link->sweep.out" "")
hf_mutant(12_what_is_absent_was_changed_by_others unit/test_link_histories.c *12_a_copy_that_is_compared* core/link_sweep.c
          "hf__refresh_add(link, key, seen->kind != HF_SHARED_ABSENT)" "hf__refresh_add(link, key, true)")
hf_mutant(12_what_has_ended_since_a_loss_comes_back unit/test_link_histories.c *12_what_was_written_since* core/judge.c
          "    else if (!older || theirs_has_ended(c))" "    else if (!older)")
hf_mutant(15_what_no_log_has_named_is_trusted unit/test_link_histories.c *15_what_no_log* core/link_send.c
          "        if (log->missing)\n            hf__ns_forget_log(ns);" "")
hf_mutant(12_a_gap_in_the_log_is_nothing integration/test_reconcile_histories.c *12_a_trimmed_log* core/link_catchup.c
          "    if (page->gap) {" "    if (false) {")
hf_mutant(12_counters_begin_again unit/test_link_histories.c *12_increments_that_wait* core/link_resend.c
          "    rc = hf__before_step(link, &done);" "    rc = HF_NOT_FOUND;")
hf_mutant(12_lanes_are_looked_at_before_copies unit/test_link_histories.c *12_an_increment_while_copies* core/link_resend.c
          "    if (r->stage == HF_RESEND_COPIES)\n"
          "    if (r->stage == HF_RESEND_COPIES && r->why == HF_ENTRY_RESEED && !r->before)\n        return hf__before_step(link, &done);\n    if (r->stage == HF_RESEND_COPIES)\n")
hf_mutant(13_no_increment_is_retained integration/test_reconcile_histories.c *13_acknowledged* core/settle.c
          "        settled.what |= HF_LEFT_RETAIN;" "        settled.what |= 0;")
hf_mutant(13_no_increment_is_retained_for_a_failover integration/test_reconcile_histories.c *13_a_lagging* core/settle.c
          "        settled.what |= HF_LEFT_RETAIN;" "        settled.what |= 0;")
hf_mutant(13_no_delete_is_retained_that_the_log_settles unit/test_link_histories.c *13_a_delete_that_the_log* core/link_catchup.c
          "if (named && change->op == HF_SHARED_DELETE) /*" "if (false) /*")
hf_mutant(13_no_delete_is_retained integration/test_reconcile_histories.c *13_acknowledged* core/link_send.c
          "if (s->op == HF_SHARED_DELETE && outcome != HF_OUTCOME_PARKED)" "if (false)")
hf_mutant(13_what_was_acknowledged_is_forgotten_in_an_outage unit/test_link_histories.c *13_what_redis_had_acknowledged* core/checkpoint.c
          " && hf__link_online_since_ms(store) <= before_ms;" ";")
hf_mutant(13_what_was_made_in_an_outage_is_forgotten_at_once unit/test_link_histories.c *13_what_was_made_long_before* core/checkpoint.c
          " && hf__link_online_since_ms(store) <= before_ms;" " && hf__link_online_since_ms(store) != INT64_MAX;")
hf_mutant(13_what_others_wrote_since_a_rollback_is_not_noted unit/test_link_histories.c *13_what_was_plain* core/link_notes.c
          "!may_be_owed_again(link) || " "true || ")
hf_mutant(13_what_was_plain_is_not_judged_in_the_lane unit/test_link_histories.c *13_what_was_plain* core/unit.c
          "        return note && note->foreign.op != 0 && (entry->op" "        return false && (entry->op")
hf_mutant(13_what_is_no_longer_retained_is_not_told unit/test_link_histories.c *13_what_is_no_longer* core/link_resend.c
          "if (rc == 0 && entry.lsn > link->resend.mark) {" "if (false) {")
hf_mutant(13_a_loss_is_forgotten_with_the_connection unit/test_link_histories.c *13_a_rollback_is_found_again* core/link_catchup.c
          "    if (!ns->losing)\n        return 0;" "    if (true)\n        return 0;")
hf_mutant(13_what_the_journal_says_was_acknowledged_is_forgotten unit/test_link.c *increment_in_the_journal* core/recovered.c
          "if (v->lsn > ns->recovered_mark)" "if (false)")
hf_mutant(13_an_answer_in_the_journal_is_no_acknowledgement unit/test_link.c *whose_answer_the_journal* core/recovered.c
          "(answered && (v->flags & HF_ENTRY_LANE))" "false")
hf_mutant(13_a_copy_to_be_fetched_keeps_the_mark unit/test_link.c *a_rollback_is_found_after* core/link_cursors.c
          "if (strcmp(cursor->epoch, ns->epoch) == 0) { /*" "if (refreshed) { /*"
          "        rc = raise_mark_by_retained(store, snap);" "        (void)raise_mark_by_retained;")
hf_mutant(13_a_mark_that_is_gone_is_believed_after_a_rollback unit/test_link_histories.c *13_a_rollback_to_before* core/link_catchup.c
          "    take_mark(ns, &link->epoch);\n    hf__ns_forget_acked" "    hf__ns_forget_acked")
hf_mutant(13_marks_of_an_earlier_epoch_are_forgotten unit/test_link_histories.c *13_what_an_earlier* core/link_catchup.c
          "    if (!same && ns->epoch[0] && hf__ns_known_mark(ns) > ns->ended_mark)" "    if (false)")
hf_mutant(13_a_replica_is_a_master integration/test_reconcile_histories.c *13_nothing_is_replayed* core/link.c
          "if (!hello->master)" "if (false)")
hf_mutant(15_no_noloop integration/test_tracking.c *own_changes_are_silent* backends/redis/tracking.c
          "    hf__command(w, 5 + 2 * settings->n_prefixes, \"CLIENT\");\n    hf__arg_str(w, \"TRACKING\");\n    hf__arg_str(w, \"ON\");\n    hf__arg_str(w, \"BCAST\");\n    hf__arg_str(w, \"NOLOOP\");"
          "    hf__command(w, 4 + 2 * settings->n_prefixes, \"CLIENT\");\n    hf__arg_str(w, \"TRACKING\");\n    hf__arg_str(w, \"ON\");\n    hf__arg_str(w, \"BCAST\");")
hf_mutant(15_a_fetch_is_installed_over_what_came_since unit/test_link_histories.c *15_a_fetch* core/write.c
          "(is_as_seen(store, &found, seen) &&" "(")
hf_mutant(15_a_lane_passes_over_what_others_logged unit/test_link_histories.c *15_a_lanes_own_entry* core/link_lane.c
          "lane->log.last_id[0] && !ns->log_unread" "lane->log.last_id[0]")
hf_mutant(settled_what_the_log_names_is_told_to_nobody unit/test_conflicts.c *a_write_that_the_log_names* core/link_catchup.c
          "    hf__done_settled(link->store, &settlement);" "    (void)settlement;")
hf_mutant(settled_a_row_that_the_log_names_is_told_to_nobody unit/test_conflicts.c *a_row_that_the_log_names* core/lookup.c
          "        widen(range, row->first_lsn, row->last_lsn);" "        return;")
hf_mutant(settled_a_row_that_goes_on_is_told_twice unit/test_conflicts.c *a_row_that_goes_on* core/lookup.c
          "row->last_lsn > lsn" "lsn == 0")
hf_mutant(settled_an_acknowledged_write_is_told_again unit/test_conflicts.c *acknowledged_is_not_told_again* core/lookup.c
          "!(v->flags & HF_ENTRY_LANE) && !hf__version_is_settled(v)" "!(v->flags & HF_ENTRY_LANE)")
hf_mutant(settled_an_acknowledged_row_is_told_again unit/test_conflicts.c *acknowledged_is_not_told_again* core/lookup.c
          "    if (has_ended(store, key, row->last_lsn))\n        return;" "    (void)store, (void)key;")
hf_mutant(15_a_row_that_has_ended_is_owed unit/test_link_histories.c *15_what_has_ended_as_a_row* core/lookup.c
          "(rc == 0 && !has_ended(look->store, key, row.last_lsn))" "rc == 0")
hf_mutant(15_a_lane_entry_that_has_ended_is_owed unit/test_link_histories.c *15_what_has_ended_in_the_lane* core/settle.c
          "    if (hf__buf_copy(entry->key, &settled.key) != 0 ||\n        !settle_and_leave(store, entry->key, &settled, mark_settled_exactly))"
          "    if (!settle_and_leave(store, entry->key, &settled, mark_settled_exactly))")
hf_mutant(15_what_a_commit_has_cleared_is_owed unit/test_link_histories.c *15_what_a_commit* core/settle.c
          "return now > before ? now : before;" "return now > before ? now : now;")
hf_mutant(15_a_row_that_ends_with_nothing_to_store_is_sure unit/test_link_histories.c *15_what_a_plain_client*lost_row* core/link_replay.c
          "&& s->trial->verdict.send == 0;" "&& s->trial->verdict.send == 0 && false;")
hf_mutant(15_a_verdict_over_what_was_fetched_since unit/test_link_histories.c *15_what_a_plain*lost_row* core/checkpoint.c
          "s->more->theirs_frozen < run->store->checkpoint.frozen" "s->more->theirs_frozen == UINT64_MAX")
hf_mutant(15_only_the_log_casts_doubt_on_a_row unit/test_link_histories.c *15_what_a_plain_client*decision* core/link_replay.c
          "(note->doubted || note->foreign.op != 0)" "note->foreign.op != 0")
hf_mutant(15_a_fetch_that_was_overtaken_is_enough unit/test_link_histories.c *15_a_fetch_that_another* core/link_refresh.c
          "again = !hf__write_fetched(" "(void)hf__write_fetched(")
hf_mutant(copies_are_compared_without_a_pause unit/test_link_histories.c *paced_batches* core/link_sweep.c
          "link->sweep.not_before_ms = link->turn.now_ms + PAUSE_MS;" "(void)PAUSE_MS;")
hf_mutant(copies_that_are_compared_hold_up_live_writes unit/test_link_histories.c *paced_batches* core/link_sweep.c
          "    sweep->out = true;" "    sweep->out = true;
    hf__link_out(link, true);")
hf_mutant(16_the_mark_covers_nothing integration/test_reconcile_histories.c *16_a_copy_does_not_apply_again* core/link_lane.c
          "        if (entry.lsn <= ns->mark) {" "        if (false) {")
hf_mutant(16_a_renewed_copy_sends_what_waits integration/test_reconcile_histories.c *16_a_renewed_copy_goes_on* core/renew.c
          "        rc = park(store, &lane);" "        (void)park;")
hf_mutant(16_a_renewed_copy_gives_back_what_was_inherited integration/test_reconcile_histories.c *16_a_renewed_copy_goes_on* core/link_cursors.c
          "    if (ns->ended_mark < inherited_lsn)" "    if (false)")
hf_mutant(16_any_token_is_ours integration/test_reconcile_histories.c *16_what_two_copies* backends/redis/greet.c
          "|| is_known(owner, hf__reply_text(reply)))" "|| is_known(owner, hf__reply_text(reply)) || true)")
hf_mutant(16_the_opening_that_connected_is_forgotten integration/test_reconcile_histories.c *16_a_store_that_was_often* core/owner.c
          "size_t at = owner->n_known > 0 ? 1 : 0;" "size_t at = 0;")
hf_mutant(17_a_log_ahead_of_the_clock_is_believed unit/test_link_histories.c *17_* core/trial.c
          "    if (is_to_come(turn, foreign.made_ms))" "    if (is_to_come(turn, foreign.made_ms) && false)")
hf_mutant(19_a_forbidden_key_is_absent integration/test_reconcile_histories.c *_19_* core/link_replay.c
          "        if (examine->keys[i].error.class != HF_SHARED_OK)" "        if (false)")
hf_mutant(19_all_of_a_group_are_guilty integration/test_redis_link.c *refused_by_acl_finds* backends/redis/groups.c
          "        hf__redis_error(&rest, HF_SHARED_RETRY, \"not applied: %.130s\", run->group->error.reason);" "        rest = run->group->error;")
hf_mutant(22_a_full_store_takes_writes integration/test_reconcile_histories.c *_22_* core/write.c
          "int rc = bytes > 0 ? hf__checkpoint_check_room(c->store, bytes) : 0;" "int rc = bytes > 0 ? 0 : 0;")
hf_mutant(A1_a_delete_of_nothing_is_not_shared integration/test_reconcile_histories.c *A1_a_delete* core/write.c
          "HF_OP_DELETE || c->shares" "HF_OP_DELETE")
hf_mutant(A1_blind_writes_always_apply integration/test_reconcile_histories.c *A1_a_blind_write* core/judge.c
          "    } else if (is_blind(c) && !theirs_is_later(c)) {\n        apply_blindly(c, ret);\n    } else {"
          "    } else if (is_blind(c)) {\n        apply_blindly(c, ret);\n    } else {")
hf_mutant(A2_a_live_write_overtakes_its_row unit/test_link_histories.c *A2_* core/link_group.c
          "    if (link->state == HF_LINK_ONLINE || hf__look_snap" "    if (true || hf__look_snap")
hf_mutant(A2_a_row_that_became_newer_knows_nothing_of_what_was_sent unit/test_link_histories.c *A2_a_row_that_a_checkpoint_makes_newer_on* core/write.c
          "    newest = is_newest(store, key, lsn);\n    hf__settle_key" "    newest = true;\n    hf__settle_key")
hf_mutant(A2_a_row_is_sent_as_it_was_prepared unit/test_link_histories.c *A2_a_row_that_a_checkpoint_makes_newer_before* core/link_replay.c
          "stored_since || " "")
hf_mutant(A2_the_row_of_a_later_write_hides_that_one_has_ended unit/test_link_histories.c *A2_a_live_write_that_has_ended_is_not* core/link_group.c
          "(rc == 0 && row.first_lsn > live->version->lsn)" "false")
hf_mutant(A2_a_live_write_that_has_ended_is_sent unit/test_link_histories.c *A2_a_live_write_that_has_ended_with* core/link_group.c
          "hf__version_is_settled(live->version) || has_ended_as_row(store, look, live)"
          "hf__version_is_settled(live->version) || (has_ended_as_row(store, look, live) && false)")
hf_mutant(A3_an_increment_is_not_tentative unit/test_link_histories.c *A3_* core/lookup.c
          ".tentative = owed == HF_OWED_LANE && found->top && found->top->op == HF_ENTRY_INCR" ".tentative = false")
hf_mutant(A3_the_answer_is_not_installed unit/test_link_histories.c *A3_* core/write.c
          "            !hf__slice_eq(found.value, entry.value)) {" "            false) {")
hf_mutant(A4_an_intent_without_outcome_is_nothing integration/test_decide.c *by_the_intent_alone* core/intent.c
          "    atomic_fetch_add(&store->intents.n_left, 1);\n    add(store, intent);\n    return 0;"
          "    intent_free(intent);\n    return 0;")
hf_mutant(A5_what_was_refused_is_shared unit/test_link.c *what_was_refused* core/lookup.c
          "atomic_load(&found->top->state) == HF_VERSION_SETTLED" "true")
hf_mutant(A5_the_life_of_what_was_refused_shares_it unit/test_link.c *a_life_of_what_was_refused* core/drain.c
          "    if (is_life_of_unshared(d))" "    if (is_life_of_unshared(d) && false)")
hf_mutant(A5_the_life_of_what_was_refused_is_read_as_shared unit/test_link.c *a_life_of_what_was_refused* core/lookup.c
          "    if (is_life_of_unshared(found))\n        return false;" "    (void)is_life_of_unshared;")
hf_mutant(A5_the_life_of_what_was_refused_has_ended_as_that unit/test_link.c *a_life_of_what_was_refused* core/outcome.c
          "!found->record_shared && !found->life_shared" "!found->record_shared")
hf_mutant(A5_a_life_acknowledges_the_value_of_its_row unit/test_link.c *a_life_that_was_a_row* core/checkpoint.c
          "    if (rc == 0 && !(s->what & HF_LEFT_LIFE))" "    if (rc == 0)")
hf_mutant(A5_a_row_that_was_just_refused_is_a_base unit/test_link.c *a_row_that_was_just_refused_is* core/drain.c
          "    d.old_parked = d.has_old && " "    d.old_parked = d.has_old && false && ")
hf_mutant(A5_a_life_hides_that_its_row_was_just_refused unit/test_link.c *a_life_of_a_row* core/settle.c
          "    if (settled->what & HF_LEFT_LIFE)\n        return;\n" "")
hf_mutant(A5_a_scan_verifies_nothing unit/test_link.c *a_scan_says* core/scan.c
          "hf__look_describe(&m->look, key, found, &item->result);"
          "hf__look_describe(&m->look, key, found, &item->result);\n    if (item->result.origin == HF_ORIGIN_LOCAL_VERIFIED)\n        item->result.origin = HF_ORIGIN_LOCAL_UNVERIFIED;")
hf_mutant(A6_batches_over_namespaces integration/test_reconcile_histories.c *A6_a_batch_over* core/write.c
          "        if (hf__ns_of(&c->store->namespaces, c->ops[i].key) != c->ns)" "        if (false)")
hf_mutant(A6_one_of_a_batch_is_parked integration/test_reconcile_histories.c *A6_a_batch_with* core/link_lane.c
          "    while (i > 0 && (list->sends[i - 1].entry.flags & HF_LANE_MORE))" "    while (false)")
hf_mutant(A7_without_a_log_nothing_waits_for_the_sync unit/test_link_histories.c *A7_* core/link_group.c
          "    if (!live->ns->with_log && live->version->lsn > hf__journal_durable_lsn(store->journal))" "    if (false)")
hf_mutant(A8_readers_wait_for_no_sync unit/test_link_histories.c *A8_* core/lookup.c
          "    if (store->read_only || lsn <= hf__journal_safe_lsn(store->journal))" "    if (lsn > 0)")
hf_mutant(A7_our_own_lost_tail_is_a_conflict unit/test_link.c *A7_what_a_power_cut* core/link_catchup.c
          "change->lsn > store->recovered_lsn && change->lsn <= store->opened_lsn" "false")
hf_mutant(A7_an_older_value_with_a_newer_life_goes_over_what_was_lost unit/test_link.c
          *what_a_power_cut_took_is_not_undone_by_a_change_of_an_older_values_life core/checkpoint.c
          "row.value_lsn < s->lsn && row.last_lsn > s->lsn" "false")
hf_mutant(A9_our_own_lost_tail_is_not_read_back unit/test_link.c *A9_what_a_power_cut_took_comes_back_from* core/link_catchup.c
          "found.held && found.lsn < change->lsn" "false")
hf_mutant(A9_what_later_lives_wrote_hides_what_was_lost unit/test_link.c *A9_*after_another_life core/link_catchup.c
          "found.held && found.lsn < change->lsn" "found.held && change->lsn > link->store->recovered_lsn")
hf_mutant(A10_not_held_is_absent integration/test_reconcile_histories.c *A10_* core/lookup.c
          "    if (!found->held)\n        return HF_ORIGIN_NONE;" "")
hf_mutant(A11_an_answer_over_anything integration/test_reconcile_histories.c *A11_* backends/redis/examine.c
          "hf__command(w, 1 + examine->n_keys, \"WATCH\")" "hf__command(w, 1 + examine->n_keys, \"EXISTS\")")
hf_mutant(A11_a_guarded_group_begins_the_count_anew unit/test_link_histories.c *A11_* core/link_send.c
          "    if (link->sends.sends[0].trial && !some_changed(group))" "    if (link->sends.sends[0].trial)")
hf_mutant(A11_tries_without_end unit/test_link_histories.c *A11_* core/link_replay.c
          "    if (link->contended < HF_LINK_CONTENDED_MAX || link->sends.n != 1)" "    if (true)")
hf_mutant(A12_no_record_of_what_lost integration/test_reconcile_histories.c *A12_* core/link_replay.c
          "    if (s->trial->verdict.rule != 0) {" "    if (false) {")
hf_mutant(A6_lanes_know_no_base unit/test_link_histories.c *A6_a_* core/drain.c
          "            entry.base = *base;" "            (void)base;")
hf_mutant(A6_of_a_unit_only_what_lost_is_left_out unit/test_link_histories.c *A6_a_batch_that_loses* core/unit.c
          "is_lost(trial) && !alone" "is_lost(trial) && !alone && false")
hf_mutant(A6_the_row_is_no_base unit/test_link_histories.c *A6_a_value_that_loses* core/drain.c
          "bool known = row->n_own == 0 && row->why == HF_PENDING_WRITE;" "bool known = false;\n    (void)row;")
hf_mutant(A6_what_a_live_increment_carries_is_not_judged unit/test_link_histories.c *A6_a_waiting_value* core/link_lane.c
          "    if (rc == 0 && (flags & (HF_ENTRY_ROW | HF_ENTRY_RESEED | HF_ENTRY_RESEND)))" "    if (false)")
hf_mutant(A6_a_live_increment_does_not_ask_the_row unit/test_link_histories.c *A6_a_waiting_value* core/link_lane.c
          "        *ret_base = hf__row_lane_base(&row);" "        (void)ret_base;")
hf_mutant(A6_a_live_increment_does_not_ask_what_is_stored unit/test_link_histories.c *A6_a_waiting_value* core/link_lane.c
          "== 0 && stored.lsn == entry->lsn)" "== 0 && false)")
hf_mutant(A6_who_increments_hears_of_what_is_parked unit/test_link_histories.c *A6_who_increments* core/link_live.c
          "staged->version->flags & HF_ENTRY_ROW ? NULL : ticket" "(void)staged, ticket")
hf_mutant(9_what_a_row_has_replaced_is_forgotten unit/test_link_histories.c *9_what_a_row_has* core/link_replay.c
          "        hf__send_written_again(link, s);" "        hf__send_leave(link, s);")
hf_mutant(9_a_stored_row_is_not_known_in_the_lane unit/test_link_histories.c *9_an_increment_behind* core/link_replay.c
          "        if (!hf__write_stored(link->store, hf__send_key(s), s->lsn))" "        if (!hf__write_stored(link->store, hf__send_key(s), s->lsn) && false)")
hf_mutant(9_live_writes_go_before_rows_have_ended unit/test_link_histories.c *9_a_write_behind_a_row* core/link.c
          "    if (link->rows_alone) {" "    if (false) {")
hf_mutant(9_a_lane_forgets_what_was_stored_of_its_row unit/test_link_histories.c *9_what_others_write_over* core/checkpoint.c
          "s->more->stored ? &s->more->sent : &unknown" "&unknown")
hf_mutant(a_link_stays_held_over_a_loss unit/test_link_histories.c *a_paused_link_is_held* core/link.c
          "link->asks_time = link->held_back = false" "link->asks_time = false")
hf_mutant(12_a_flush_while_catching_up_is_forgotten unit/test_link_histories.c *12_a_flush_that_is_told* core/link_copies.c
          "    hf__link_distrust_copies(link);\n    link->log_behind = true;" "    hf__link_distrust_copies(link);\n    link->log_behind = link->state == HF_LINK_ONLINE;")
hf_mutant(12_a_walk_over_copies_outlives_a_loss unit/test_link_histories.c *12_copies_that_were_compared* core/link_sweep.c
          "    if (ns->n_distrusts != sweep->n_distrusts)" "    if (false)")
hf_mutant(12_what_is_read_is_adopted_in_silence unit/test_link_histories.c *12_a_copy_that_is_read* core/link_sweep.c
          "|| !differs(link, key, seen, theirs))" "|| differs(link, key, seen, theirs) || true)")
hf_mutant(9_what_this_pass_has_stored_is_another_s unit/test_link_histories.c *9_what_a_row_has* core/trial.c
          "    if (note && note->stored)" "    if (false)")
hf_mutant(9_what_this_pass_has_stored_is_compared_in_the_lane unit/test_link_histories.c *9_what_a_row_has* core/unit.c
          "    if (note && note->stored)" "    if (false)")
hf_mutant(A6_a_batch_is_sent_again_unguarded unit/test_link_histories.c *A6_a_batch_whose_keys* core/link_unit.c
          "    trial->n_guards = 1;" "    trial->n_guards = 0;")
hf_mutant(A6_no_guard_in_the_script integration/test_reconcile_histories.c *A6_a_batch_that_loses* backends/redis/scripts.c
          "guards ~= '' and not holds(key, have, guards)" "false")
hf_mutant(A13_what_is_not_compared_replaces_another_type integration/test_outage.c *another_type_is_parked* core/trial.c
          " && trial->c.kind != HF_SHARED_OTHER" "")
hf_mutant(A13_a_delete_that_is_not_compared_removes_another_type integration/test_outage.c *another_type_is_parked* backends/redis/scripts.c
          "    if type(got) == 'table' then return got end" "")
hf_mutant(15_a_look_at_kinds_watches_nothing integration/test_examine.c *a_look_at_kinds* backends/redis/examine.c
          "    if (examine->n_logs > 0)\n        hf__command(w, 1 + examine->n_logs, \"WATCH\");" "    if (examine->n_logs > 0)\n        hf__command(w, 1 + examine->n_logs, \"EXISTS\");")
hf_mutant(15_a_look_at_kinds_is_enough unit/test_link_histories.c *15_what_a_node_writes_before* core/link_replay.c
          "    } else if (examine->unread) {" "    } else if (false) {")
hf_mutant(15_what_stands_behind_the_id_is_read integration/test_examine.c *whether_it_is_to_be_read* backends/redis/log_page.c
          "        return reply->elements > 0;" "        return false;")
hf_mutant(15_a_log_that_is_gone_is_read integration/test_examine.c *whether_it_is_to_be_read* backends/redis/log_page.c
          "return len == 0 && strcmp(read->after_id, \"0-0\") != 0;" "return false;")
hf_mutant(15_a_live_write_moves_the_log_on unit/test_link_histories.c *15_what_a_node_writes_between* core/link_send.c
          "bool watched = group->watched && link->watches_logs;" "bool watched = link->watches_logs;")
hf_mutant(A7_in_a_log_an_older_value_goes_over_what_was_lost unit/test_link.c *change_of_an_older_values_life core/trial.c
          " && !is_life_of_unknown(&trial->c)" "")
hf_mutant(20_a_delete_that_is_not_compared_waits_for_room integration/test_outage.c *with_redis_out_of_memory_deletes* core/trial.c
          "trial->uncompared ? !found->live" "trial->uncompared ? s->ns->writers == HF_WRITERS_THIS_NODE && !found->live")
hf_mutant(A5_a_life_hides_what_was_refused unit/test_link.c *what_was_refused_as_stored* core/settle.c
          "    if (before && before->parked)" "    if (false)")
hf_mutant(15_a_log_that_others_write_to_is_watched_again unit/test_link_histories.c *15_a_log_that_others_always* core/link_replay.c
          "link->watches_logs)\n        link->keys_turns = KEYS_TURNS;" "link->watches_logs)\n        link->keys_turns = 0;")
hf_mutant(15_a_copy_that_may_not_be_read_is_waited_for unit/test_link_histories.c *15_a_copy_that_may_not* core/link_refresh.c
          "    if (fetch->error.class == HF_SHARED_AUTH) {" "    if (false) {")
hf_mutant(15_a_copy_that_may_not_be_read_is_good unit/test_link_histories.c *15_a_copy_that_might_not* core/link_refresh.c
          "hf__refresh_is_asked(link) && link->refresh.denied.n == 0" "hf__refresh_is_asked(link)")
hf_mutant(15_a_copy_that_might_not_be_read_is_never_asked_for unit/test_link_histories.c *15_a_copy_that_may_not* core/link_catchup.c
          "    hf__refresh_ask_again(link);" "")
hf_mutant(15_what_may_not_be_read_is_asked_for_once unit/test_link_histories.c *15_a_copy_that_might_not_be_read*while core/link_refresh.c
          "    ask_again_in_time(link);" "    (void)ask_again_in_time;")
hf_mutant(A5_what_was_refused_as_stored_is_shared unit/test_link.c *what_was_refused_as_stored* core/lookup.c
          "record.lsn != 0 && hf__settle_is_parked(look->store, key, record.lsn)" "false")
hf_mutant(A5_what_was_refused_as_stored_is_fetched unit/test_link.c *what_was_refused_as_stored* core/lookup.c
          "    *ret_parked = hf__settle_is_parked(look->store, key, found->lsn);" "")
hf_mutant(19_whose_fault_it_was_is_not_asked integration/test_redis_link.c *refused_by_acl_finds* backends/redis/groups.c
          "    if (run->vague) {" "    if (false) {")
hf_mutant(19_a_refused_group_is_stored_unwatched integration/test_examine.c *a_refused_group_is_not_stored* backends/redis/groups.c
          "    if (!run->group->watched) {" "    if (true) {")
hf_mutant(19_values_never_go_at_once_again integration/test_redis_link.c *values_go_at_once_again* backends/redis/groups.c
          "        tier->singly = false;" "        tier->singly = true;")
hf_mutant(19_values_are_tried_at_once_each_time integration/test_redis_link.c *may_not_mset* backends/redis/groups.c
          "run->singly = tier->singly = true;" "run->singly = true;")
hf_mutant(2_values_go_before_their_turn integration/test_redis_link.c *values_at_once_keep* backends/redis/group_commands.c
          "(is_immortal(&items[end]) || !hf__group_has(&items[end]))" "true")
hf_mutant(A13_another_type_is_a_conflict integration/test_outage.c *another_type_is_parked* core/judge.c
          "    if (c->kind == HF_SHARED_OTHER)\n        park(\"WRONG" "    if (false)\n        park(\"WRONG")
hf_mutant(A14_a_refused_log_entry_is_nothing integration/test_redis_link.c *missing_log_is_told* backends/redis/groups.c
          "hf__reply_is_nil(reply) || hf__reply_is_error(reply)" "hf__reply_is_nil(reply)")
hf_mutant(A14_a_lanes_refused_log_entry_is_nothing unit/test_link_histories.c *A14_* core/link_lane.c
          "outcome == HF_LANE_APPLIED && lane->log.missing" "false")
hf_mutant(conflicts_a_full_log_takes_more unit/test_conflicts.c *no_room_for_its_conflict* core/link_replay.c
          "    *verdict = (struct hf_judgement){.outcome = HF_OUTCOME_PENDING};\n" "")
hf_mutant(conflicts_what_makes_room_is_not_counted unit/test_conflicts.c *makes_room_and_is_counted* core/checkpoint.c
          "            atomic_fetch_add(&run->store->lost_conflicts, 1);" "            (void)0;")
hf_mutant(conflicts_requeue_is_not_recovered unit/test_conflicts.c *kill_9_at_any_point_of_a_requeue* core/unlist.c
          "store->read_only || hf__settle_unlist" "true || hf__settle_unlist")
hf_mutant(conflicts_unlisted_by_any_commit unit/test_conflicts.c *a_commit_takes_nothing_off_before* core/settle.c
          "HF_LEFT_GAP | HF_LEFT_UNPARK | HF_LEFT_RESOLVE" "HF_LEFT_GAP")
hf_mutant(conflicts_mark_moves_past_what_is_in_doubt unit/test_conflicts.c *in_doubt_that_does_not_fit* core/link_lane.c
          "    if (parked) /*" "    if (parked || true) /*")
hf_mutant(conflicts_last_settlements_are_not_told unit/test_conflicts.c *what_settles_while* core/done.c
          "    tell_all(store);\n    pthread_mutex_destroy" "    pthread_mutex_destroy")
hf_mutant(ambiguous_times_end_otherwise_on_each_node unit/test_judge.c *two_nodes_end_alike* core/judge.c
          "(c->live && memcmp(ours.digest, c->digest, HF_DIGEST_BYTES) > 0)"
          "(c->live && memcmp(ours.digest, c->digest, HF_DIGEST_BYTES) != 0)")
hf_mutant(no_digest_of_what_is_too_long_to_keep unit/test_judge.c *three_examinations* core/judge.c
          "return wants_theirs(c) | wants_record_of_theirs(c);" "return wants_theirs(c);")
hf_mutant(copies_are_trusted_at_opening integration/test_reconcile.c *while_the_store_was_closed_is_not* core/link.c
          "    hf__link_distrust_copies(link); /* others" "    /* others")
hf_mutant(parked_copies_are_compared integration/test_reconcile.c *a_parked_change_is_neither* core/lookup.c
          "    *ret_parked = found->top && atomic_load(&found->top->state) == HF_VERSION_PARKED;\n    if (found->top"
          "    *ret_parked = false;\n    if (true || found->top")
hf_mutant(look_lanes_know_no_base unit/test_look.c *a_value_that_loses_is_told* core/preview_lane.c
          "if (item->trial && !item->trial->judged && !item->ended)" "if (false)")
hf_mutant(look_of_a_unit_only_what_lost_is_left_out unit/test_look.c *a_batch_that_loses_a_key* core/preview_lane.c
          "        why = hf__unit_why_not(batch->items[i].trial, to - from == 1);" "        why = batch ? NULL : \"\";")
hf_mutant(look_what_the_link_has_heard_is_not_known unit/test_look.c *knows_what_the_link_has_heard* core/preview.c
          "    copy_notes(b->run, &link->notes);" "    (void)copy_notes;")
hf_mutant(no_wait_nobody_is_asked_what_was_said integration/test_hear.c *was_replaced_before* core/link_hear.c
          "    return hf__link_ask_within(store, &hear.ask, timeout_ms > 0 ? timeout_ms : 0);"
          "    (void)timeout_ms;\n    return 0;")
hf_mutant(no_wait_nobody_syncs unit/test_no_wait.c *brings_the_sync_about* core/durable.c
          "        hf__journal_push(store->journal);" "        (void)0;")
hf_mutant(no_wait_what_is_durable_already_is_not_told unit/test_no_wait.c *told_when_it_is_durable* core/durable.c
          "    if (hf_is_durable(store, lsn) || hf__journal_stopped(store->journal))" "    if (false)")
hf_mutant(no_wait_all_is_called_durable unit/test_no_wait.c *shown_before_its_sync* core/read.c
          "    r->result.durable = hf__is_durable(store, r->result.lsn);" "    r->result.durable = true;")
hf_mutant(no_wait_a_failed_sync_is_an_unknown_outcome unit/test_no_wait.c *a_failed_sync_is_told* core/durable.c
          "        result->code = HF_ESTOPPED;" "        result->code = HF_EUNKNOWN;")
hf_mutant(no_wait_what_is_not_held_is_absent unit/test_no_wait.c *redis_is_never_asked* core/read.c
          "        return hf__link_is_accepting(store) ? HF_NOT_DONE : 0;" "        return 0;")
hf_mutant(no_wait_decisions_do_not_matter unit/test_no_wait.c *that_redis_decides_about* core/read.c
          " || hf__intent_may_be_out(store, key);" " || (false && hf__intent_may_be_out(store, key));")
hf_mutant(no_wait_a_submission_waits_for_room unit/test_no_wait.c *wait_for_room* core/write.c
          "rc == HF_EBUSY && !c->never_waits && c->claim" "rc == HF_EBUSY && c->claim")
hf_mutant(no_wait_a_new_life_hides_the_value_in_a_batch unit/test_no_wait.c *changes_lives_in_the_order* core/write.c
          "        if (!changes_only_ttl(e))\n            return e;" "        if (true || !changes_only_ttl(e))\n            return e;")
hf_mutant(no_wait_an_absent_key_ends_its_batch unit/test_no_wait.c *reaches_redis_as_one_unit* core/write.c
          "        else if (rc == HF_NOT_FOUND && c->n_ops > 1)" "        else if (false)")
hf_mutant(no_wait_an_older_copy_is_verified_by_a_newer unit/test_no_wait.c *is_not_verified_by_the_newer* core/lookup.c
          "atomic_load(&store->trusted) == look->trusted;" "true;")
hf_mutant(a_lane_takes_no_life_away integration/test_outage.c *batch_of_lives* backends/redis/scripts.c
          "  elseif op == 'p' then redis.call('PERSIST', key)" "  elseif op == 'p' then")
hf_mutant(10_a_group_looks_at_no_log integration/test_redis_link.c *before_others_entries* backends/redis/scripts.c
          "    if j == 100 or entries[j][2][2] ~= ARGV[2] then return {'L'} end" "")
hf_mutant(10_a_guarded_group_knows_no_id unit/test_link_histories.c *before_a_guarded_group* core/link_send.c
          ".after_id = group->guarded ? ns->log_id : NULL" ".after_id = NULL")
hf_mutant(10_an_examination_waits_for_a_push unit/test_link_histories.c *where_the_log_decides* core/link_replay.c
          "if (!used || !ns->with_log)" "if (!used || !ns->with_log || !ns->log_unread)")
hf_mutant(A6_a_unit_waits_for_a_push unit/test_link_histories.c *A6_a_batch_is_judged* core/link_unit.c
          "    if (!ns->with_log)" "    if (!ns->with_log || !ns->log_unread)")
hf_mutant(15_behind_very_many_rows_nobody_tells integration/test_reconcile.c *very_many_rows* core/link.c
          "} else if (!left && link->track_later) {" "} else if (false) {")
hf_mutant(15_copies_are_trusted_without_pushes unit/test_link_histories.c *copies_are_trusted core/link_catchup.c
          " && !trusts_pushes(link);" ";\n    (void)trusts_pushes;")
hf_mutant(15_what_is_to_be_compared_stays_verified unit/test_link_histories.c *since_the_log_was_lost* core/link_copies.c
          "    atomic_store(&ns->verified, false);\n    ns->n_distrusts++;" "    ns->n_distrusts++;")
hf_mutant(12_an_absence_drops_the_last_copy unit/test_link.c *a_flushed_redis_does_not_hold* core/link_copies.c
          "    return !link->log_behind && (link->state" "    return true || (link->state")
hf_mutant(15_copies_are_walked_over_once unit/test_link_histories.c *behind_the_walk* core/link_sweep.c
          "    if (through && next_ns(link)) {" "    if (through && next_ns(link) && false) {")
hf_mutant(waits_a_fetch_ends_twice unit/test_link_waits.c *a_fetch_that* core/link_live.c
          "ETIMEDOUT && !wait->out &&\n                 !wait->done)" "ETIMEDOUT && !wait->out)")
hf_mutant(waits_a_question_ends_twice unit/test_link_waits.c *a_question_that* core/link_ask.c
          "ETIMEDOUT && !ask->out &&\n                 !ask->done)" "ETIMEDOUT && !ask->out)")
hf_mutant(waits_a_decision_ends_twice unit/test_link_waits.c *a_decision_that* core/link_decide.c
          "ETIMEDOUT && !wait->out &&\n                 !wait->done)" "ETIMEDOUT && !wait->out)")
hf_mutant(waits_hear_of_no_checkpoint unit/test_link_histories.c *a_wait_for_a_row* core/link.c
          "    tell_moved(link);\n    pthread_mutex_unlock(&link->mutex);\n    hf__link_wake(store);"
          "    pthread_mutex_unlock(&link->mutex);\n    hf__link_wake(store);")
hf_mutant(waits_for_the_next_checkpoint_at_a_pass_end unit/test_link_histories.c *waits_that_begin* core/link.c
          "        link->checkpoint_ticket = hf__checkpoint_ticket(link->store);" "        link->checkpoint_ticket = UINT64_MAX;")
hf_mutant(12_what_may_count_twice_is_sent unit/test_link_histories.c *12_what_may_count* core/link_before.c
          "    if (rc == 0 && b->any_theirs)" "    if (rc == 0 && b->any_theirs && false)")
hf_mutant(12_what_may_count_twice_is_adopted unit/test_link_histories.c *12_what_may_count* core/link_before.c
          "        return before->sent;" "        return false;")
hf_mutant(12_a_failed_checkpoint_has_stored_what_was_sent unit/test_link_histories.c *12_what_may_count* core/checkpoint.c
          "cp->ended >= ticket && cp->rc == 0" "cp->ended >= ticket")
hf_mutant(13_what_the_log_names_of_a_lane_is_not_known unit/test_link_histories.c *13_a_first_increment_that_the_log* core/link_catchup.c
          "change->op != HF_SHARED_INCR || change->last_lsn <= ns->mark" "true")
hf_mutant(13_the_log_settles_a_part_of_a_first_batch unit/test_link_histories.c *13_a_first_increment_that_the_log* core/link_catchup.c
          "ns->mark = change->last_lsn;" "ns->mark = change->lsn;")
hf_mutant(look_the_oldest_named_change unit/test_look.c *last_logged_change* core/logged.c
          ".backwards = true" ".backwards = false")
hf_mutant(look_facts_that_nobody_told unit/test_look.c *facts_that_nobody* core/link_ask.c
          "    if (rc == 0)\n        *ret_facts = a.facts;" "    *ret_facts = a.facts;")
hf_mutant(look_no_lane_by_the_log unit/test_look.c *that_the_log_names* core/preview.c
          "change->op == HF_SHARED_INCR && change->last_lsn > p->mark" "false")
hf_mutant(12_what_was_not_there_before_is_not_looked_for unit/test_link_histories.c *12_what_may_count* core/link_before.c
          " || before->sent);" ");")
hf_mutant(12_our_own_attempt_is_anothers unit/test_link_histories.c *12_what_may_count* core/link_before.c
          "before->sent ? 2 : 1" "1")
hf_mutant(13_an_answer_is_a_write_of_ours unit/test_link_histories.c *13_an_answer* core/link_resend.c
          "(record->flags & HF_RECORD_COUNTED) || " "")
hf_mutant(13_a_life_that_is_sent_again_brings_the_value unit/test_link_histories.c *13_a_life_of_a_counter* core/write.c
          "    if (!(flags & HF_ENTRY_RESEND) || !found->only_life_ours)" "    if (true)")
hf_mutant(13_a_life_that_waits_brings_the_value unit/test_link_histories.c *13_a_life_of_a_counter* core/drain.c
          "d->old.lsn != 0 && !(d->old.flags & not_ours);" "d->old.lsn != not_ours;")
hf_mutant(13_a_row_makes_a_counter_ours unit/test_link_histories.c *13_a_life_of_a_counter_that_was* core/link_replay.c
          "!j->refresh && trial->own_value ?" "!j->refresh ?")
hf_mutant(13_a_life_makes_a_fetched_value_ours unit/test_link_histories.c *13_a_life_of_a_fetched* core/drain.c
          "(flags || v->lsn == 0)" "flags")
hf_mutant(13_a_batch_that_is_fetched_again_is_ours unit/test_link_histories.c *13_a_batch_whose_life* core/lookup.c
          "!hf__version_is_counted(v) && !(v->flags & HF_ENTRY_LANE)" "!hf__version_is_counted(v)")
hf_mutant(13_a_batch_up_to_the_mark_is_sent_again unit/test_link_histories.c *13_a_batch_up_to* core/link_resend.c
          "((record->flags & HF_RECORD_LANE) && record->lsn <= r->ns->mark)" "false")
hf_mutant(13_what_followed_a_batch_is_left unit/test_link_histories.c *13_what_followed_a_batch* core/write.c
          "owed == HF_OWED_LANE && (*flags & HF_ENTRY_RESEND))" "false)")
hf_mutant(13_a_batch_follows_itself unit/test_link_histories.c *13_a_batch_does_not_follow* core/write.c
          "(deleted ? deleted->lsn : found->lsn) > last_lsn;" "(deleted ? deleted->lsn : found->lsn) >= last_lsn;")
hf_mutant(13_a_delete_that_followed_a_batch_is_left unit/test_link_histories.c *13_a_delete_that_followed* core/write.c
          "    *ret_joins = rc == 0 && (" "    *ret_joins = rc == 0 && !deleted && (")
hf_mutant(13_what_a_lane_stands_on_is_not_retained unit/test_link_histories.c *13_what_an_increment_stands_on_comes* core/drain.c
          "            rc = retain_plain(txn, ops, hf__lane_entry(d->key, v));" "            continue;")
hf_mutant(13_the_record_that_a_lane_stands_on_is_not_retained unit/test_link_histories.c *13_what_an_increment_stands_on_comes* core/drain.c
          "    return rc == 0 && below && d->has_old && !d->old_parked ?" "    return false ?")
hf_mutant(13_a_dead_counter_lives_again unit/test_link_histories.c *13_a_counter_that_has_died* core/drain.c
          "        return hf__record_retain(ops, txn, key, record);" "        return 0;")
hf_mutant(13_what_a_dead_value_had_replaced_lives_again unit/test_link_histories.c *13_what_a_dead_value* core/drain.c
          "record->lsn == 0 ||\n" "!of_lane ||\n")
hf_mutant(13_what_was_outlived_is_renewed unit/test_link_histories.c *13_what_a_dead_value* core/drain.c
          "(d->old.flags & HF_RECORD_OUTLIVED) || " "")
hf_mutant(13_a_version_below_outlives_nothing unit/test_link_histories.c *13_what_a_dead_value* core/drain.c
          "!is_own && ends_before(d->state.deadline_ms, v->deadline_ms)" "false")
hf_mutant(13_a_delete_that_waits_ends_what_it_replaced unit/test_link_histories.c *13_what_a_folded_delete* core/drain.c
          "v->op == HF_ENTRY_DELETE && atomic_load(&v->state) == HF_VERSION_SETTLED && " "v->op == HF_ENTRY_DELETE && ")
hf_mutant(13_a_row_replaces_nothing unit/test_link_histories.c *13_what_a_folded_delete* core/drain.c
          "    return atomic_load(&store->pending_rows) > 0 &&" "    return false &&")
hf_mutant(13_a_life_given_at_once_is_retained unit/test_link_histories.c *13_what_had_replaced_nothing* core/drain.c
          "#define AT_ONCE_MS 1000" "#define AT_ONCE_MS -1")
hf_mutant(13_what_redis_tells_to_be_dead_is_forgotten unit/test_link_histories.c *13_what_redis_tells* core/write.c
          "(!value && has_died(&found))" "false")
hf_mutant(13_what_dies_between_the_stages_is_forgotten unit/test_link_histories.c *13_what_dies_while* core/link_resend.c
          "    if (rc == 0 && stage != HF_RESEND_LANES)" "    if (rc == 0 && stage == HF_RESEND_DELETES)")
hf_mutant(13_each_end_is_retained unit/test_link_histories.c *13_what_had_replaced_nothing* core/drain.c
          "(of_lane ? HF_RECORD_LIFE : HF_RECORD_OUTLIVED)" "(of_lane ? HF_RECORD_LIFE : 0xff)")
hf_mutant(13_what_was_replayed_is_not_retained unit/test_link_histories.c *13_what_an_increment_stands_on_comes_back_where* core/drain.c
          "    if ((record->flags & HF_RECORD_UNSHARED) || !(plain || life))" "    if (!(record->flags & HF_RECORD_SHARED) || !(plain || life))")
hf_mutant(13_what_is_judged_comes_behind_its_lane unit/test_link_histories.c *13_what_was_plain_behind* core/link_lane.c
          " || begins_request(link, &entry))" ")")
hf_mutant(13_a_life_below_an_increment_is_not_retained unit/test_link_histories.c *13_the_life_of_a_counter_comes* core/drain.c
          "!hf__version_is_counted(v) && v->op != HF_ENTRY_DELETE)" "v->op == HF_ENTRY_SET)")
hf_mutant(13_a_delete_below_an_increment_is_left unit/test_link_histories.c *13_what_an_increment_stands_on_comes* core/link_resend.c
          "    *ret_is = rc == 0 &&" "    *ret_is = false &&")
hf_mutant(13_what_an_increment_stands_on_is_sent_where_it_has_survived unit/test_link_histories.c *13_what_an_increment_stands_on_stays* core/link_resend.c
          "(plain && (r->in_doubt || !is_above(link, entry->key, entry->lsn, entry->made_ms)))" "(plain && r->in_doubt)")
hf_mutant(13_a_replay_is_in_order unit/test_link_histories.c *13_what_was_replayed_behind* core/link_catchup.c
          "    if (replayed_lsn <= what.above_lsn)" "    if (false)")
hf_mutant(13_what_the_log_names_is_sent_again unit/test_link_histories.c *13_what_the_log_names_of_a_replay* core/link_resend.c
          "(!survived || survived->number < lsn)" "(!survived || lsn > 0)")
hf_mutant(13_a_replay_is_forgotten_by_a_crash unit/test_link_histories.c *13_what_was_replayed_comes_back* core/link_cursors.c
          "        rc = hf__past_load(store, snap);" "        rc = 0;")
hf_mutant(13_a_replay_never_ends unit/test_link_histories.c *13_a_rollback_behind_a_replay* core/link_past.c
          "        past->replays[past->n - 1].to_ms = link->turn.now_ms;" "        past->replays[past->n - 1].to_ms = STILL_MS;")
hf_mutant(13_a_lane_is_not_awaited unit/test_link_histories.c *13_what_followed_a_batch* core/link_resend.c
          "    r->retained_from = 0;\n    r->ticket = hf__checkpoint_ticket(link->store);" "    r->retained_from = 0;")
hf_mutant(13_what_an_increment_stands_on_is_looked_for_once unit/test_link_histories.c *13_an_increment_upon_what* core/link_resend.c
          "        return resend_retained(link);" "        return r->stage == HF_RESEND_BELOW ? HF_NOT_FOUND : resend_retained(link);")
hf_mutant(13_a_new_life_gets_no_value unit/test_link_histories.c *13_a_life_upon_what* core/link_resend.c
          "    if (row->why != HF_PENDING_WRITE || row->base_lsn == 0 ||" "    if (row->why != HF_PENDING_WRITE || row->base_lsn != 0 ||")
hf_mutant(13_what_is_read_replaces_what_is_lost unit/test_link_histories.c *13_what_is_read_before* core/link_live.c
          "(found || (rc == 0 && wait->seen->held)) && hf__link_history_is_known(link)" "found || (rc == 0 && wait->seen->held && hf__link_history_is_known(link))")
hf_mutant(13_a_delete_beside_a_lane_is_dropped unit/test_link_histories.c *13_an_increment_beside* core/write.c
          "    if (rc == 0 && owed == HF_OWED_LANE)\n        rc = waits_beside_lane" "    if (false)\n        rc = waits_beside_lane")
hf_mutant(13_a_delete_goes_before_its_lane unit/test_link_histories.c *13_a_delete_that_waits_behind* core/link_resend.c
          " == 0 && lsn < row->last_lsn;" " == 0 && false;")
hf_mutant(12_what_is_given_back_goes_blind_into_a_lane unit/test_link_histories.c *counts_on_others* core/write.c
          "    entry.flags |= flags;" "    (void)flags;")
hf_mutant(13_what_a_rollback_brings_back_wins unit/test_link_histories.c *13_a_change_that_waits_over* core/drain.c
          "    note_base_made(d, row);" "    (void)0;")
hf_mutant(13_what_waits_is_blind_after_a_rollback unit/test_link_histories.c *13_a_change_that_waits_is_judged* core/link_resend.c
          "        !is_above(link, row->key, row->base_lsn, row->base_made_ms))" "        false)")
hf_mutant(13_copies_of_others_are_trusted_after_a_rollback unit/test_link_histories.c *13_copies_of_others* core/link_catchup.c
          "    hf__link_distrust_namespace(ns);\n    ns->log_id[0]" "    ns->log_id[0]")
hf_mutant(what_is_parked_with_its_row_is_done unit/test_link.c *parked_with_its_row* core/link_group.c
          "    if (settled && was_parked(link->store, live))" "    if (settled && was_parked(link->store, live) && false)")
hf_mutant(15_nothing_is_compared_after_a_refusal unit/test_link_histories.c *15_copies_are_compared_when* core/link_sweep.c
          "        if (examine->error.class == HF_SHARED_STATE)" "        if (false)")
hf_mutant(13_a_mark_that_is_gone_with_the_log_says_nothing unit/test_link.c *gone_with_the_log* core/link_catchup.c
          "        if (mark_is_gone) /* and the log with it */" "        if (false)")
hf_mutant(12_a_new_life_needs_no_value unit/test_link_histories.c *12_a_key_whose_life* core/trial.c
          "c->kind == HF_SHARED_STRING && stays_there(c->base)" "stays_there(c->base)")
hf_mutant(13_what_is_fetched_again_is_anothers unit/test_link_histories.c *13_a_copy_that_was_fetched* core/write.c
          "    bool same = fetched->op == HF_ENTRY_SET &&" "    bool same = fetched->op == 0 &&")
hf_mutant(13_a_value_whose_life_others_have_changed_is_theirs unit/test_link_histories.c *13_a_value_whose_life* core/write.c
          "        fetched->lsn = found->lsn;\n" "")
hf_mutant(13_a_changed_life_makes_an_answer_ours unit/test_link_histories.c *13_an_answer_whose_life* core/write.c
          "    if (same && found->own_value) {" "    if (same) {")
hf_mutant(13_what_is_merged_is_theirs unit/test_link_histories.c *13_a_merged_value* core/link_replay.c
          "verdict->ours_made_ms = !j->refresh && trial->own_value ? trial->c.made_ms : 0;" "verdict->ours_made_ms = 0;")
hf_mutant(no_wait_a_write_is_told_before_redis_answers unit/test_no_wait.c *not_done_where_redis* core/write.c
          "(waits_for_share(&c) && hf__link_is_accepting(store))" "false")
hf_mutant(no_wait_a_write_passes_a_decision unit/test_no_wait.c *a_write_does_not_wait* core/write.c
          "    else if (hf__intent_is_out(" "    else if (false && hf__intent_is_out(")
hf_mutant(13_the_log_settles_a_part_of_a_batch unit/test_link_histories.c *13_a_batch_that_the_log* core/settle.c
          "return !(v->flags & HF_ENTRY_LANE) && mark_settled(" "return mark_settled(")
hf_mutant(13_a_mark_that_is_gone_says_nothing unit/test_link.c *to_before_our_first_increment* core/link_catchup.c
          "epoch->mark == 0 && known.mark != 0" "false")
hf_mutant(13_a_mark_that_is_gone_is_a_rollback unit/test_link.c *mark_that_is_gone_alone* core/link_catchup.c
          "link->sought_found || (by_id && !page->gap)" "false"
          "    if (!link->history_lost)\n        know_mark(link, change);" "    (void)know_mark;")
hf_mutant(13_what_nobody_can_know_is_guessed unit/test_link.c *what_a_mark_covered* core/link_catchup.c
          "page->gap || !whole" "false")

# Those of the sidecar. An integration test starts a holdfastd with the mutant in it.
hf_mutant(sidecar_a_reply_waits_for_no_sync unit/test_call.c *a_held_reply_waits* tools/sidecar/call.c
          "    if (call->hold_lsn > 0 && !call->later && !hf_is_durable" "    if (false && !hf_is_durable")
hf_mutant(sidecar_a_reply_behind_another_leaves_first unit/test_call.c *answers_that_come_later_leave_in_order* tools/sidecar/call.c
          "    if (!client->first_later)\n        return true;" "    if (true)\n        return true;")
hf_mutant(sidecar_a_reply_leaves_while_one_before_it_waits unit/test_call.c *those_behind_it_with_it* tools/sidecar/client.c
          "    while ((later = client->first_later) && may_leave(later)) {" "    while ((later = client->first_later) && (may_leave(later) || later->next)) {")
hf_mutant(sidecar_nobody_waits_for_his_worker unit/test_call.c *the_next_command_waits_for_a_worker* tools/sidecar/client.c
          "    return !client->waits_worker && !client->waits_claims" "    return !client->waits_claims")
hf_mutant(sidecar_no_key_is_busy unit/test_call.c *others_wait_for_a_busy_key* tools/sidecar/call.c
          "    if (claims_meet(&call->server->claims, keys.all, keys.n))" "    if (false)")
hf_mutant(sidecar_a_client_that_has_gone_gives_its_keys_back unit/test_call.c *still_holds_its_key* tools/sidecar/client.c
          "    if (!client->works)\n" "")
hf_mutant(sidecar_messages_have_no_limit unit/test_call.c *who_reads_no_messages* tools/sidecar/client.c
          "client_unread(client) > server->settings->output_max + server->value_max" "(false && server)")
hf_mutant(sidecar_who_does_not_read_is_read_from integration/test_sidecar.c *who_does_not_read_is_not_read_from* tools/sidecar/client.c
          " && !client->waits_reader && !client->closes" " && !client->closes")
hf_mutant(sidecar_any_key_for_a_user_with_prefixes integration/test_sidecar.c *a_user_touches_its_prefixes* tools/sidecar/call.c
          "        may = may && user_may_touch(user, keys.all[i]);" "        may = may || user_may_touch(user, keys.all[i]);")
hf_mutant(sidecar_scripts_for_a_user_with_prefixes integration/test_sidecar_upstream.c *a_user_with_prefixes_reaches* tools/sidecar/call.c
          " && !(command->flags & COMMAND_ANY_KEYS)" "")
hf_mutant(sidecar_a_user_with_prefixes_sees_every_key integration/test_sidecar_walks.c *a_user_with_prefixes_sees* tools/sidecar/listing.c
          " && user &&\n           user_may_touch(user, key)" " && user")
hf_mutant(sidecar_open_to_others_without_a_password integration/test_sidecar.c *mistakes_of_the_configuration* tools/sidecar/settings.c
          "        if (!settings_is_loopback(settings->binds[i]))" "        if (!settings_is_loopback(settings->binds[i]) && false)")
hf_mutant(sidecar_nothing_is_shared_before_what_is_passed_on integration/test_sidecar_upstream.c *a_script_waits_for_megabytes* tools/sidecar/upstream.c
          "return rc == 0 ? hf_wait_shared(store, UINT64_MAX, timeout_ms) : rc;" "return rc;")
hf_mutant(sidecar_an_answer_leaves_before_the_link_has_heard integration/test_sidecar_upstream.c *a_read_here_sees* tools/sidecar/upstream.c
          "    up->step = HEARING;\n    up->member.done = heard;\n    rounds_join(&up->all->hearing, &up->member);"
          "    finish(up);\n    (void)heard;")
hf_mutant(sidecar_own_keys_are_passed_on integration/test_sidecar_upstream.c *for_the_operator_of_redis* tools/sidecar/passage.c
          "    if (hf__slice_starts_with(key, hf__slice_str(UPSTREAM_OWN_PREFIX)))" "    if (false)")
hf_mutant(sidecar_own_keys_are_shown integration/test_sidecar_walks.c *keys_shows_the_same* tools/sidecar/listing.c
          "!hf__slice_starts_with(key, hf__slice_str(UPSTREAM_OWN_PREFIX)) && " "")
hf_mutant(sidecar_own_keys_are_flushed integration/test_sidecar_walks.c *flushdb_leaves* tools/sidecar/listing.c
          "!hf__slice_starts_with(key, hf__slice_str(UPSTREAM_OWN_PREFIX)) && " "")
hf_mutant(sidecar_no_watched_key_has_changed integration/test_sidecar_commands.c *a_watched_key_that_another* tools/sidecar/transaction.c
          "        return watched->live != value->live || watched->lsn != value->result.lsn;\n    return value->result.lsn > watched->lsn;"
          "        return false;\n    return false;")
hf_mutant(sidecar_a_lost_watch_is_forgotten integration/test_sidecar_upstream.c *a_watch_that_an_outage_has_ended* tools/sidecar/upstream.c
          "    if (up->request.watched && !up->watches)" "    if (false)")
hf_mutant(sidecar_a_lost_answer_is_certainly_not_done integration/test_sidecar_upstream.c *in_doubt_for_what_was_sent* tools/sidecar/upstream.c
          "\"INDOUBT the connection to Redis broke before it answered:\"" "\"OFFLINE the connection to Redis broke before it answered:\"")
hf_mutant(sidecar_an_increment_in_exec_is_passed_on integration/test_sidecar_transactions.c *whose_answer_is_lost* tools/sidecar/transaction.c
          "    if (t->owes_sum) { /*" "    if (owes) { /*")
hf_mutant(sidecar_an_increment_in_exec_tells_what_is_held_here integration/test_sidecar_transactions.c *was_added_since* tools/sidecar/transaction.c
          "    bool owes = is_redis_to_tell(call, op->key);" "    bool owes = is_redis_to_tell(call, op->key) && false;")
hf_mutant(sidecar_a_batch_tells_a_sum_for_another integration/test_sidecar_transactions.c *with_the_same_replies* tools/sidecar/transaction.c
          "    if (t->owes_sum) { /*" "    if (owes && t->owes_sum) { /*")
hf_mutant(sidecar_reads_and_writes_of_two_moments integration/test_sidecar_transactions.c *with_the_same_replies* tools/sidecar/cmd_transaction.c
          "(t->reads && t->writes)" "(false && t->reads && t->writes)")
hf_mutant(sidecar_what_is_asked_for_is_not_busy integration/test_sidecar_transactions.c *nothing_of_others_comes_between* tools/sidecar/cmd_transaction.c
          "    if (!claim_keys(call, t))\n        return;\n" "")
hf_mutant(sidecar_a_cursor_of_redis_goes_on_here integration/test_sidecar_walks.c *an_outage_meets_begins_again* tools/sidecar/cmd_scan.c
          "    else if (letter == SCAN_REDIS)\n" "    else if (false)\n")
hf_mutant(sidecar_a_walk_ends_with_redis integration/test_sidecar_walks.c *goes_away_before_it_answers* tools/sidecar/cmd_scan.c
          "    if (is_lost(call)) {" "    if (is_lost(call) && false) {")
hf_mutant(sidecar_what_is_never_shared_is_not_scanned integration/test_sidecar_walks.c *scan_shows_what_redis_holds* tools/sidecar/cmd_scan.c
          "    return !space_has_ours(call) || number_of" "    return true || number_of")
hf_mutant(a_conflict_without_its_answer_is_told_to_nobody integration/test_lost_answers.c *ours_has_replaced* core/link_send.c
          "            keep_conflict(link, s);" "            (void)keep_conflict;")

# Resources that run out.
hf_mutant(a_mapped_page_has_no_room integration/test_resource.c *is_made_or_refused* core/control.c
          "    rc = writable ? reserve_page(fd) : 0;" "    rc = writable && false ? reserve_page(fd) : 0;")
hf_mutant(slots_of_readers_have_no_room integration/test_resource.c *many_readers_need_no_room* backends/lmdb/env.c
          "    if (fallocate(fd, FALLOC_FL_KEEP_SIZE," "    if (false && fallocate(fd, FALLOC_FL_KEEP_SIZE,")
hf_mutant(an_interrupted_sync_has_failed integration/test_resource.c *is_none_that_failed* journal/fs.c
          "    return until_done(fdatasync, fd);" "    return fdatasync(fd) == 0 ? 0 : -EIO;")
hf_mutant(a_failed_sync_is_made_again integration/test_resource.c *after_a_failed_one* journal/fs.c
          "    return until_done(fdatasync, fd);" "    while (fdatasync(fd) != 0)\n        ;\n    return 0;")
hf_mutant(a_child_keeps_the_lock integration/test_resource.c *leaves_no_lock_to_its_child* core/store.c
          "        close(store->lock_fd);\n    owners = NULL;" "        continue;\n    owners = NULL;")
hf_mutant(what_cannot_be_parsed_for_want_of_memory_is_bad integration/test_memory.c *a_configuration_is_refused* core/base/fields.c
          "    if (!json)\n        json = cJSON_ParseWithLengthOpts(text, len + 1, ret_end, true);\n    if (!json && !(probe = malloc(len + 1)))"
          "    if (false)")

hf_mutant(crash_acknowledged_before_the_sync unit/test_crash_points.c *at_any_call* journal/journal.c
          "        rc = fs->sync(fs, j->fd);\n    took_us" "        (void)fs;\n    took_us")
hf_mutant(crash_the_name_of_a_segment_is_not_synced unit/test_crash_points.c *at_any_call* journal/segment.c
          "        rc = fs->sync_dir(fs, dir);" "        rc = 0;")
hf_mutant(crash_the_room_of_a_segment_is_not_synced unit/test_crash_points.c *at_any_call* journal/segment.c
          "        rc = fs->sync(fs, fd);" "        rc = 0;")
hf_mutant(crash_the_first_header_is_not_synced unit/test_crash_points.c *at_any_call* journal/journal.c
          "    rc = fs->sync(fs, j->fd);\n    if (rc != 0)\n        return" "    if (rc != 0)\n        return")
hf_mutant(crash_what_was_shown_is_not_synced unit/test_crash_points.c *without_syncs* journal/journal.c
          "    rc = sync_segment(j, segment);" "    rc = 0;\n    (void)sync_segment;")
hf_mutant(crash_names_that_were_found_are_not_synced unit/test_journal.c *killed_opening* journal/journal.c
          "    int rc = j->opts.fs->sync_dir(j->opts.fs, j->opts.dir);" "    int rc = 0;")
hf_mutant(crash_spare_files_that_were_found_are_not_synced unit/test_journal.c *killed_opening* journal/journal.c
          "    if (!live && !keep_spare(j, segment))\n        return 0;" "    if (!live) {\n        (void)keep_spare(j, segment);\n        return 0;\n    }")
hf_mutant(crash_a_full_segment_is_not_synced unit/test_crash_points.c *without_syncs* journal/journal.c
          "    if (!j->unsynced)\n        return 0;\n    pthread" "    if (true)\n        return 0;\n    pthread")
hf_mutant(crash_recycled_before_the_commit unit/test_crash_points.c *at_any_call* core/checkpoint.c
          "        rc = run->ops->txn_commit(run->txn);"
          "        hf__journal_release(store->journal, run->covered_lsn);\n        rc = run->ops->txn_commit(run->txn);")
hf_mutant(crash_what_was_cut_returns unit/test_crash_points.c *without_syncs* journal/recover.c
          "group->first_lsn - (group->n_entries == 0) > limit" "false")
hf_mutant(crash_a_segment_follows_the_numbering unit/test_crash_points.c *at_any_call* journal/journal.c
          "        .follows_lsn = j->history_lsn," "        .follows_lsn = j->last_lsn,")
hf_mutant(crash_useless_files_go_before_the_header unit/test_journal.c *inside_an_opening* journal/journal.c
          "    if (!live && !keep_spare(j, segment))\n        return 0;" "    if (!live) {\n        keep_or_unlink(j, segment);\n        return 0;\n    }")
hf_mutant(crash_the_copy_of_damage_is_not_synced unit/test_crash_points.c *evidence_of_damage* journal/quarantine.c
          "        rc = fs->sync(fs, to);" "        rc = 0;")
hf_mutant(power_cut_lmdb_does_not_sync integration/test_power_cut.c * backends/lmdb/env.c
          "    unsigned flags = MDB_NOTLS |" "    unsigned flags = MDB_NOTLS | MDB_NOSYNC |")
hf_mutant(power_cut_lmdb_does_not_sync_its_meta_page integration/test_power_cut.c * backends/lmdb/env.c
          "    unsigned flags = MDB_NOTLS |" "    unsigned flags = MDB_NOTLS | MDB_NOMETASYNC |")
hf_mutant(power_cut_the_journal_does_not_sync integration/test_power_cut.c * journal/fs.c
          "    return until_done(fdatasync, fd);" "    return 0 * fd;")
hf_mutant(power_cut_acknowledged_before_the_sync integration/test_power_cut.c * journal/journal.c
          "        rc = fs->sync(fs, j->fd);\n    took_us" "        (void)fs;\n    took_us")
hf_mutant(power_cut_recycled_before_the_commit integration/test_power_cut.c * core/checkpoint.c
          "        rc = run->ops->txn_commit(run->txn);"
          "        hf__journal_release(store->journal, run->covered_lsn);\n        rc = run->ops->txn_commit(run->txn);")
hf_mutant(crash_a_bad_header_is_passed_by unit/test_recover.c *a_header_with_any_bit* journal/recover.c
          "        if (n_bad > r->n_damage)" "        if (false)")
hf_mutant(crash_a_missing_end_is_passed_by unit/test_recover.c *zeros_from_any_byte* journal/recover.c
          "        if (r->list.segments[i].header.follows_lsn > last) {" "        if (false) {")
hf_mutant(crash_damage_is_not_kept unit/test_journal.c *flipped_bit_is_quarantined* journal/quarantine.c
          "            damaged |= strcmp(r->damage[d].segment, segment->name) == 0;" "            damaged |= false;")
hf_mutant(crash_what_was_recovered_is_not_owed unit/test_crash_points.c *owed_to_redis* core/recovered.c
          "never_shared ? HF_VERSION_SETTLED : HF_VERSION_UNSETTLED" "HF_VERSION_SETTLED")
hf_mutant(crash_a_checkpoint_forgets_increments unit/test_crash_points.c *owed_to_redis* core/drain.c
          "            rc = ops->lane_put(txn, &entry);" "            rc = txn && ops ? 0 : -1;")
hf_mutant(faults_an_idle_link_is_not_probed integration/test_redis_faults.c "*SIGSTOP, idle" backends/redis/connection.c
          "conn->first->due_ms : conn->idle_due_ms;" "conn->first->due_ms : UINT64_MAX;")
hf_mutant(faults_a_replicas_refusal_is_the_entrys integration/test_redis_link.c *errors__classes* backends/redis/errors.c
          "{\"READONLY\", HF_SHARED_STATE}" "{\"READONLY\", HF_SHARED_ENTRY}")
hf_mutant(faults_copies_stay_verified integration/test_redis_faults.c "killed*with its data" core/link.c
          "    hf__link_distrust_copies(link);\n    hf__link_out(link, false);" "    hf__link_out(link, false);")
hf_mutant(faults_what_arrives_late_is_added integration/test_redis_faults.c half-open* backends/redis/scripts.c
          "~= ARGV[1] then return {'F'} end\\n\"\n    \"local n = tonumber(ARGV[6])" "== 'x' then return {'F'} end\\n\"\n    \"local n = tonumber(ARGV[6])"
          "if mark ~= ARGV[2] then" "if false then")

# The model of Redis, broken: it is compared with a real one.
hf_mutant(model_tells_of_no_death integration/test_model.c *a_redis_does* tests/lib/fake_commands.c
          "    fake_signal(NULL, fake_slice(&key->key));" "")
hf_mutant(model_compares_no_mark integration/test_model.c *a_redis_does* tests/lib/fake_lanes.c
          "    if (reads(text, lane->prev))" "    if (true)")
hf_mutant(model_stores_what_was_touched integration/test_model.c *a_redis_does* tests/lib/fake_groups.c
          "    run->refused = queued && fake_was_touched(run->asker.session);" "    run->refused = false;")
hf_mutant(model_trims_by_entries integration/test_model.c *a_redis_does* tests/lib/fake_log.c
          "    added.opens_node = needs_node(stream);" "    added.opens_node = needs_node(stream) || true;")
hf_mutant(9_a_row_forgets_the_live_write_that_it_was unit/test_link_histories.c *9_a_live_write* core/link_send.c
          "    if (!s->in_group || is_merged" "    if (!s->replayed || !s->in_group || is_merged")
hf_mutant(9_a_row_forgets_what_was_sent_of_it integration/test_lost_answers.c *older_value_of_ours* core/checkpoint.c
          "    hf__pending_add_own(&row, &s->more->sent);\n" "")
hf_mutant(13_what_redis_has_acknowledged_need_not_be_there unit/test_link.c *change_in_the_journal_that_redis_has_lost* core/link_catchup.c
          "link->surviving_lsn < link->must_name_lsn" "false")
hf_mutant(13_deletes_that_the_journal_tells_of_are_not_retained unit/test_link.c *change_in_the_journal_that_redis_has_lost* core/recovered.c
          "    if (v->op == HF_ENTRY_DELETE)" "    if (false)")
hf_mutant(13_what_was_acknowledged_is_forgotten_by_the_second_crash unit/test_link.c *known_over_two_crashes* core/link_cursors.c
          "        cursor->acked_lsn = ns->acked_lsn;" "        cursor->acked_lsn = 0;")
hf_mutant(13_only_the_journal_tells_of_acknowledgements unit/test_link.c *rollback_of_a_change_is_found* core/link_send.c
          "hf__ns_note_acked(ns, last_acked(group, log), log->last_id);" "(void)last_acked(group, log);")
hf_mutant(13_others_entries_tell_the_age_of_an_older_copy unit/test_link_histories.c *makes_it_no_younger* core/link_catchup.c
          "own || (link->lost_id[0] && hf__stream_id_compare(change->id, link->lost_id) < 0)" "own || link->lost_id[0]")
hf_mutant(13_a_life_alone_is_sent_after_a_rollback unit/test_link_histories.c *under_a_change_of_a_life* core/checkpoint.c
          "    if (rc == 0 && (s->what & HF_LEFT_BASE_LOST))\n        rc = lose_base(run, s);" "    (void)lose_base;")
