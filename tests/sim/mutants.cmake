# The defences that the simulator must miss: name, source, histories within which it must fail, text, replacement.
hf_simulated_mutant(1_acknowledged_before_the_sync journal/journal.c 100
                    "        rc = fs->sync(fs, j->fd);\n" "        rc = fs ? 0 : -1;\n")
hf_simulated_mutant(2_a_refused_request_holds_the_lane core/link_lane.c 300
                    "    if (!parked || to - from < link->lane_sends.n)\n" "    (void)parked;\n")
