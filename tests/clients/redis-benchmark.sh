#!/usr/bin/env bash
# redis-benchmark against holdfastd: that it ends well, and that everything it did has been done. What it measures is not looked at.
. "$(dirname "$0")/checks.sh"

readonly n=3000

# It asks for CONFIG GET first, and ends with an error at the first reply that is one.
bench() {
    local said
    said=$(timeout "$wait_s" redis-benchmark -p "$HOLDFASTD_PORT" -n "$n" -e "$@" 2>&1) ||
        fail "redis-benchmark $* ended with status $?: $said"
    [[ $said != *[Ee]rror* ]] || fail "redis-benchmark $* said $said"
}

calls() { ask info commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p"; }
errors() { ask info errorstats | grep -c '^errorstat' || true; }

local_tier() {
    bench -c 20 -P 8 -t ping,set,get,incr
    expect "$n" calls set
    expect "$n" calls get
    expect "$n" calls incr
    expect 0 errors
    until_is "$n" behind get counter:__rand_int__
}

large_values() {
    bench -c 5 -d 100000 -t set,get -r 50
    until_is 100000 eval 'behind strlen "$(behind --scan --pattern "key:0*" | head -n 1)"'
}

passed_on() {
    bench -c 10 -P 4 -t lpush,hset,mset
    expect "$n" behind llen mylist
}

outage() {
    world redis-stop
    bench -c 20 -P 8 -t set,get,incr
    world redis-start
    until_is $((2 * n)) behind get counter:__rand_int__
}

checks local_tier large_values passed_on outage
