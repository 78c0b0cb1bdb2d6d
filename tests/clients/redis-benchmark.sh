#!/usr/bin/env bash
# redis-benchmark against holdfastd: that it ends well, and that everything it did has been done. What it measures is not looked at.
. "$(dirname "$0")/checks.sh"

n=3000 # commands of a run

# It asks for CONFIG GET first, and ends with an error at the first reply that is one.
bench() {
    local said
    said=$(timeout "$wait_s" redis-benchmark "${there[@]}" -n "$n" -q "$@" 2>&1) ||
        fail "redis-benchmark $* ended with status $?: $said"
    [[ $said != *[Ee]rror* ]] || fail "redis-benchmark $* said $said"
}

counted() { ask info stats | tr -d '\r' | sed -n "s/^$1://p"; }

# With pipelines it may send a few commands more than it was asked for.
at_least() {
    local found
    found=$("${@:2}")
    [ "$found" -ge "$1" ] || fail "${*:2}: found $found, expected $1 at the least"
}

local_tier() {
    bench -c 20 -P 8 -t ping,set,get,incr
    at_least $((5 * n)) counted total_commands_processed # ping is sent in two forms
    expect 0 counted total_error_replies
    at_least "$n" ask get counter:__rand_int__
    until_is "$(ask get counter:__rand_int__)" behind get counter:__rand_int__
}

large_values() {
    bench -c 5 -d 100000 -t set,get -r 50
    until_is 100000 behind strlen "$(ask keys 'key:0*' | head -n 1)"
}

passed_on() {
    bench -c 10 -P 4 -t lpush,hset,mset
    at_least "$n" behind llen mylist
}

outage() {
    local before after
    before=$(ask get counter:__rand_int__)
    world redis-stop
    bench -c 20 -P 8 -t set,get,incr
    at_least $((before + n)) ask get counter:__rand_int__
    after=$(ask get counter:__rand_int__)
    world redis-start
    until_is "$after" behind get counter:__rand_int__
    expect 0 counted total_error_replies
}

# No command of a run notices that Redis goes and comes back in the midst of it.
outage_within() {
    local before run n=20000
    before=$(ask get counter:__rand_int__)
    bench -c 20 -P 8 -t incr,set &
    run=$!
    world redis-stop
    kill -0 "$run" || fail "it was over before Redis was away"
    world redis-start
    wait "$run" || fail "see above"
    at_least $((before + n)) ask get counter:__rand_int__
    until_is "$(ask get counter:__rand_int__)" behind get counter:__rand_int__
    expect 0 counted total_error_replies
}

checks local_tier large_values passed_on outage outage_within
