#!/usr/bin/env bash
# redis-cli against holdfastd.
. "$(dirname "$0")/checks.sh"

connect() {
    expect PONG ask ping
    expect OK ask set k 'a value'
    expect 'a value' ask get k
    expect '' ask get nothing
    expect 'a value' ask -3 get k
    [[ $(ask info server) == *redis_version:7* ]] || fail "info does not tell the version"
    [[ $(ask command docs get) == *string* ]] || fail "command docs does not tell the group of get"
}

# Its mode for mass insertion, which counts replies and errors.
pipeline() {
    local said
    said=$(for i in {1..5000}; do printf 'SET p:%d %d\r\n' "$i" "$i"; done | redis-cli "${there[@]}" --pipe) ||
        fail "--pipe ended with status $?: $said"
    [[ $said == *'errors: 0, replies: 5000'* ]] || fail "--pipe said $said"
    expect 5000 behind get p:5000
    expect 5000 eval 'ask --scan --pattern "p:*" | sort -u | wc -l'
}

transaction() {
    expect $'OK\nQUEUED\nQUEUED\nQUEUED\nOK\n2\n1' ask <<-'END'
		multi
		set t 1
		incr t
		hset hash field value
		exec
	END
    expect 2 behind get t
}

expiry() {
    expect OK ask set short x px 150
    expect OK ask set long x ex 100
    until_is '' ask get short
    [ "$(ask ttl long)" -gt 0 ] || fail "a key with a TTL has none"
    expect 1 ask persist long
    expect -1 ask ttl long
}

# What a client prints that has subscribed; it ends when we do, or at the latest with the runner's time.
subscribe() {
    local heard
    heard=$(mktemp)
    timeout "$wait_s" redis-cli "${there[@]}" --raw subscribe news >"$heard" &
    until_is $'news\n1' ask pubsub numsub news
    ask publish news 'from here' >/dev/null
    until_is 1 grep -c 'from here' "$heard"
    behind publish news 'from there' >/dev/null
    until_is 1 grep -c 'from there' "$heard"
    kill "$!"
    rm "$heard"
}

# In a terminal redis-cli tells of a lost connection, and connects at the next command; without one it ends.
reconnect() {
    local heard
    heard=$(mktemp)
    coproc session { TERM=dumb script -qfec "redis-cli ${there[*]}" /dev/null >"$heard" 2>&1; }
    says() { echo "get p:$1" >&"${session[1]}" && grep -m 1 -o "^\"$1\"" "$heard"; }
    until_is '"7"' says 7
    world sidecar-restart
    until_is '"8"' says 8
    echo exit >&"${session[1]}"
    wait "$session_PID"
    rm "$heard"
}

outage() {
    expect 3 ask incrby counter 3
    world redis-stop
    expect OK ask set offline written
    expect written ask get offline
    expect 5 ask incrby counter 2
    expect 1 ask del p:1
    expect $'OK\nQUEUED\nQUEUED\nOK\nOK' ask <<<$'multi\nset a 1\nset b 2\nexec'
    [[ $(ask hget hash field) == OFFLINE* ]] || fail "hget was not refused"
    world redis-start
    until_is $'written\n5\n\n1\n2' behind mget offline counter p:1 a b
    until_is value ask hget hash field
}

checks connect pipeline transaction expiry subscribe reconnect outage
