/* Where the keys of a command are that does not have them at fixed places, as COMMAND GETKEYS of Redis finds them. */
#ifndef SIDECAR_MOVABLE_H
#define SIDECAR_MOVABLE_H

#include "command.h"

keys_fn keys_counted_first;      /* numkeys key ... */
keys_fn keys_counted_second;     /* timeout numkeys key ... */
keys_fn keys_of_script;          /* script numkeys key ... */
keys_fn keys_stored_and_counted; /* destination numkeys key ... */
keys_fn keys_of_streams;         /* ... STREAMS key ... id ... */
keys_fn keys_of_sort;            /* key ... [STORE destination] */
keys_fn keys_of_radius;          /* key ... [STORE key | STOREDIST key] */
keys_fn key_of_subcommand;       /* subcommand key ... */

#endif
