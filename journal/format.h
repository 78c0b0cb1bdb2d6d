/* The journal's bytes: encoding and decoding of headers, groups and entries. Touches no file.
 * The layout is docs/journal-format.md. */
#ifndef HF_JOURNAL_FORMAT_H
#define HF_JOURNAL_FORMAT_H

#include "bytes.h"

#define HF_JOURNAL_VERSION 1
#define HF_JOURNAL_ID_BYTES 16
#define HF_SEGMENT_DATA_OFFSET 4096u
#define HF_SEGMENT_HEADER_BYTES 128u
#define HF_GROUP_HEADER_BYTES 64u
#define HF_ENTRY_HEADER_BYTES 40u
#define HF_GROUP_EXCEPTIONS_MAX 32u

enum hf_entry_op {
    HF_ENTRY_SET = 1,
    HF_ENTRY_DELETE = 2,
    HF_ENTRY_EXPIRE = 3,
    HF_ENTRY_PERSIST = 4,
    HF_ENTRY_INCR = 5,
    HF_ENTRY_RESULT = 6,
    HF_ENTRY_INTENT = 7,  /* the shared tier is about to be asked to decide on this key; readers do not see it */
    HF_ENTRY_UNPARK = 8,  /* takes the parked entry with the LSN `delta` off its list; changes no key */
    HF_ENTRY_RESOLVE = 9, /* the same for the conflict with the id `delta` */
};

enum {
    HF_ENTRY_LANE = 1,       /* keeps its own place in the lane */
    HF_ENTRY_MORE = 2,       /* the next entry belongs to the same atomic batch */
    HF_ENTRY_LOCAL = 4,      /* never shared */
    HF_ENTRY_DECIDED = 8,    /* the shared tier has decided so, and holds it; `delta` is the LSN of the intent */
    HF_ENTRY_TENTATIVE = 16, /* decided here while the shared tier was away */
    HF_ENTRY_RESEED = 32,    /* a copy that Redis has lost: given back if nothing is there */
    HF_ENTRY_RESEND = 64,    /* an acknowledged change that a rollback of Redis took: sent again */
    HF_ENTRY_ROW = 128, /* carries into the lane what waited in a row when the link began to take live writes */
};

struct hf_entry {
    uint64_t lsn; /* not stored: the group's first LSN plus its place */
    uint8_t op;   /* enum hf_entry_op */
    uint8_t type;
    uint32_t flags;
    int64_t deadline_ms;
    int64_t made_ms;
    int64_t delta;
    struct hf_slice key;
    struct hf_slice value;
};

struct hf_segment_header {
    uint8_t id[HF_JOURNAL_ID_BYTES];
    uint64_t number;
    uint64_t first_lsn;
    uint64_t follows_lsn;
    uint64_t reserved_lsn;
    uint64_t durable_lsn;
    uint64_t file_bytes;
    int64_t written_ms;
};

struct hf_group_header {
    uint32_t bytes;
    uint64_t first_lsn;
    uint32_t n_entries;
    uint32_t n_exceptions;
    uint64_t durable_lsn;
    uint64_t shared_lsn;
    uint64_t reserved_lsn;
    int64_t written_ms;
};

enum hf_segment_verdict {
    HF_SEGMENT_VALID = 0,
    HF_SEGMENT_FREE,    /* all zero */
    HF_SEGMENT_BAD,     /* magic or checksum wrong */
    HF_SEGMENT_VERSION, /* another version */
};

/* Write the first HF_SEGMENT_HEADER_BYTES of a segment. */
void hf__segment_header_encode(const struct hf_segment_header *header, uint8_t *bytes);
/* `*ret_version` is set for HF_SEGMENT_VERSION. */
enum hf_segment_verdict hf__segment_header_decode(const uint8_t *bytes, struct hf_segment_header *ret_header,
                                                  uint32_t *ret_version);

/* Bytes that an entry takes. */
size_t hf__entry_size(const struct hf_entry *entry);
/* Append an entry; the caller has reserved the room. */
void hf__entry_encode(const struct hf_entry *entry, struct hf_bytes *group);

/* Turn `group` (HF_GROUP_HEADER_BYTES of room, then entries) into a group: append the exceptions, write the header,
 * seal with the checksum. header->bytes and n_exceptions are set here; room for the exceptions was reserved. */
void hf__group_seal(struct hf_group_header *header, const uint64_t *exceptions, uint32_t n_exceptions,
                    struct hf_bytes *group, uint64_t salt);

/* The salt of the group at `offset` of segment `number`. */
uint64_t hf__group_salt(const uint8_t *id, uint64_t number, uint64_t offset);

/* Whether the four bytes there are those that a group begins with. */
bool hf__group_begins(const uint8_t *bytes);
/* Read the fixed part only; 0, or -1 when it is not one that was sealed with this salt, or claims more than
 * `available` bytes. */
int hf__group_header_decode(const uint8_t *bytes, uint64_t available, uint64_t salt,
                            struct hf_group_header *ret_header);
/* Check a whole group in memory: checksum and the shape of every entry. 0 or -1. */
int hf__group_check(const uint8_t *bytes, const struct hf_group_header *header, uint64_t salt);

/* Walk the entries of a checked group: *offset starts at 0. 0, or 1 at the end. Slices point into `bytes`. */
int hf__group_next(const uint8_t *bytes, const struct hf_group_header *header, size_t *offset, uint32_t *index,
                   struct hf_entry *ret_entry);
/* The i-th exception of a checked group. */
uint64_t hf__group_exception(const uint8_t *bytes, const struct hf_group_header *header, uint32_t i);

#endif
