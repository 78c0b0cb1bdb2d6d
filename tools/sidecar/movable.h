/* Where the keys of a command are that does not have them at fixed places, as COMMAND GETKEYS of Redis finds them. */
#ifndef SIDECAR_MOVABLE_H
#define SIDECAR_MOVABLE_H

#include "command.h"

/* As command_keys(), for a command with COMMAND_MOVABLE_KEYS. */
size_t movable_keys(const struct command *command, size_t argc, const struct hf_slice *argv, struct hf_slice *keys,
                    size_t capacity);

#endif
