# What the checks of the command-line clients share; sourced.
set -euo pipefail

readonly wait_s=60

# redis-stop, redis-start or sidecar-restart; see the program `run`.
world() {
    printf '%s\n' "$1" >"$WORLD_ASK"
    read -r _ <"$WORLD_ANSWER"
}

# How holdfastd is reached.
there=(-p "$HOLDFASTD_PORT")
[ -z "${HOLDFASTD_CA:-}" ] || there+=(--tls --cacert "$HOLDFASTD_CA")
readonly there

# Ask holdfastd; ask the Redis behind it.
ask() { redis-cli "${there[@]}" --raw "$@"; }
behind() { redis-cli -s "$REDIS_SOCKET" --raw "$@"; }

fail() {
    printf 'FAILED %s: %s\n' "${check:-}" "$*"
    exit 1
}

# expect WANTED COMMAND...: what the command prints must be this.
expect() {
    local wanted=$1 found
    shift
    found=$("$@") || fail "$* ended with status $?"
    [ "$found" = "$wanted" ] || fail "$*: found '$found', expected '$wanted'"
}

# until_is WANTED COMMAND...: it is printed after a while, at the latest.
until_is() {
    local wanted=$1 found='' end=$((SECONDS + wait_s))
    shift
    until found=$("$@") && [ "$found" = "$wanted" ]; do
        [ "$SECONDS" -lt "$end" ] || fail "$*: found '$found' after $wait_s s, expected '$wanted'"
        sleep 0.05
    done
}

# Each is a function, run in this order.
checks() {
    for check in "$@"; do
        "$check"
        printf 'ok %s\n' "$check"
    done
}
