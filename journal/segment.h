/* Segment files: making, starting, listing and reading them. */
#ifndef HF_SEGMENT_H
#define HF_SEGMENT_H

#include "file_layer.h"
#include "format.h"

#define HF_SEGMENT_NAME_MAX 32
#define HF_SEGMENT_SUFFIX ".seg"

struct hf_segment {
    char name[HF_SEGMENT_NAME_MAX];
    enum hf_segment_verdict verdict;
    struct hf_segment_header header; /* of a valid one */
    uint64_t file_bytes;
    uint64_t last_lsn; /* of its last entry; header.follows_lsn or less when it has none */
};

/* What is in a journal directory, sorted: valid ones by number first, then the others. */
struct hf_segment_list {
    struct hf_segment *segments;
    size_t n;
};

/* Read all headers. A segment of another version is HF_EVERSION; one of another journal id than the first valid
 * one's is HF_ECORRUPT. Files that are not named *.seg are left alone. */
int hf__segment_list(struct hf_file_layer *fs, int dir, struct hf_segment_list *ret_list);
void hf__segment_list_release(struct hf_segment_list *list);

/* Make a free segment of `bytes`, allocated and synced, under a name that is not taken. HF_EFULL when there is no
 * room; nothing is left behind then. */
int hf__segment_create(struct hf_file_layer *fs, int dir, uint64_t bytes, struct hf_segment *ret_segment);

/* Open a segment and write its new header (not synced). Returns the descriptor or a negative hf_code. */
int hf__segment_start(struct hf_file_layer *fs, int dir, struct hf_segment *segment,
                      const struct hf_segment_header *header);

/* A window over a segment for reading it front to back. */
struct hf_segment_reader {
    struct hf_file_layer *fs;
    int fd;
    uint64_t file_bytes;
    uint64_t start; /* file offset of buffer.bytes[0] */
    struct hf_bytes buffer;
    const struct hf_segment *segment;
};
int hf__segment_reader_open(struct hf_file_layer *fs, int dir, const struct hf_segment *segment,
                            struct hf_segment_reader *ret_reader);
void hf__segment_reader_close(struct hf_segment_reader *reader);

/* The whole, checked group at `offset`: 0 with `*ret_bytes` borrowed until the next call, 1 when there is no valid
 * group, or a negative hf_code. */
int hf__segment_group_at(struct hf_segment_reader *reader, uint64_t offset, struct hf_group_header *ret_header,
                         const uint8_t **ret_bytes);
/* Like it, for the first valid group at or after `*offset`, which is moved there. */
int hf__segment_group_after(struct hf_segment_reader *reader, uint64_t *offset, struct hf_group_header *ret_header,
                            const uint8_t **ret_bytes);

/* "segment 7 (00000003.seg)" style error for a failed file operation; by hf__code_of_errno. */
int hf__file_fail(int negative_errno, const char *what, const char *name);

#endif
