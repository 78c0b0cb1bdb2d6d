/* The operating system's files behind the seam: what the journal relies on there, on a real file system. */
#include "file_layer.h"

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct scratch scratch;
    struct hf_file_layer *fs;
    int dir;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    scratch_make(&f->scratch);
    f->fs = hf__file_layer_real();
    assert_int_equal(mkdir(f->scratch.store, 0700), 0);
    f->dir = f->fs->open_dir(f->fs, f->scratch.store);
    assert_true(f->dir >= 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->dir);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static int make(struct fixture *f, const char *name, const char *text)
{
    int fd = f->fs->open(f->fs, f->dir, name, true, true);

    assert_true(fd >= 0);
    assert_int_equal(f->fs->write(f->fs, fd, text, strlen(text), 0), 0);
    assert_int_equal(f->fs->sync(f->fs, fd), 0);
    return fd;
}

static int try_open(struct fixture *f, const char *name)
{
    return f->fs->open(f->fs, f->dir, name, false, false);
}

/* ---- files ---- */

static void test_file_layer__a_file_is_private_and_made_only_once(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int fd = make(f, "a", "");

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(f->fs->open(f->fs, f->dir, "a", true, true), -EEXIST);
    assert_int_equal(f->fs->close(f->fs, fd), 0);
    assert_int_equal(f->fs->close(f->fs, fd), -EBADF);
}

static void test_file_layer__what_is_written_is_read_as_far_as_it_goes(void **state)
{
    struct fixture *f = *state;
    char got[16] = "";
    uint64_t bytes = 0;
    int fd = make(f, "a", "0123456789");

    assert_int_equal(f->fs->write(f->fs, fd, "xy", 2, 9), 0);
    assert_int_equal(f->fs->size(f->fs, fd, &bytes), 0);
    assert_int_equal(bytes, 11);
    f->fs->drop_cache(f->fs, fd);
    assert_int_equal(f->fs->read(f->fs, fd, got, sizeof(got), 7), 4);
    assert_memory_equal(got, "78xy", 4);
    assert_int_equal(f->fs->read(f->fs, fd, got, sizeof(got), 11), 0);
    f->fs->close(f->fs, fd);
    fd = try_open(f, "a");
    assert_int_equal(f->fs->write(f->fs, fd, "z", 1, 0), -EBADF); /* opened for reading */
    f->fs->close(f->fs, fd);
    assert_int_equal(f->fs->read(f->fs, fd, got, 1, 0), -EBADF);
    assert_int_equal(f->fs->size(f->fs, fd, &bytes), -EBADF);
}

static void test_file_layer__allocated_bytes_are_zeros_that_are_there(void **state)
{
    struct fixture *f = *state;
    const uint64_t bytes = (2u << 20) + 4096;
    int fd = make(f, "a", "");
    struct stat st;
    char got[4096], zeros[4096] = "";

    assert_int_equal(f->fs->allocate(f->fs, fd, bytes), 0);
    assert_int_equal(f->fs->sync(f->fs, fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true((uint64_t)st.st_size == bytes && (uint64_t)st.st_blocks * 512 >= bytes);
    assert_int_equal(f->fs->read(f->fs, fd, got, sizeof(got), bytes - sizeof(got)), sizeof(got));
    assert_memory_equal(got, zeros, sizeof(got));
    f->fs->close(f->fs, fd);
}

/* ---- names ---- */

static int note_name(void *ctx, const char *name)
{
    strcat(ctx, name);
    return strcmp(name, "stop") == 0 ? 7 : 0;
}

static void test_file_layer__names_change_and_go(void **state)
{
    struct fixture *f = *state;
    char names[64] = "";
    int fd = make(f, "a", "text");

    assert_int_equal(f->fs->rename(f->fs, f->dir, "a", "b"), 0);
    assert_int_equal(f->fs->rename(f->fs, f->dir, "a", "c"), -ENOENT);
    assert_int_equal(f->fs->sync_dir(f->fs, f->dir), 0);
    assert_int_equal(try_open(f, "a"), -ENOENT);
    assert_int_equal(f->fs->list(f->fs, f->dir, note_name, names), 0);
    assert_string_equal(names, "b");
    assert_int_equal(f->fs->unlink(f->fs, f->dir, "b"), 0);
    assert_int_equal(f->fs->unlink(f->fs, f->dir, "b"), -ENOENT);
    f->fs->close(f->fs, fd);
    f->fs->close(f->fs, make(f, "stop", ""));
    assert_int_equal(f->fs->list(f->fs, f->dir, note_name, names), 7); /* the answer of the callback ends it */
}

static void test_file_layer__a_directory_that_is_gone_is_an_error(void **state)
{
    struct fixture *f = *state;
    int gone = f->fs->open_dir(f->fs, f->scratch.store);

    assert_int_equal(f->fs->open_dir(f->fs, "/nowhere"), -ENOENT);
    assert_int_equal(f->fs->close(f->fs, gone), 0);
    assert_int_equal(f->fs->list(f->fs, gone, note_name, NULL), -EBADF);
    assert_int_equal(f->fs->sync_dir(f->fs, gone), -EBADF);
}

/* Neither followed nor waited for: whoever can make names in the directory could have made them. */
static void test_file_layer__what_is_no_regular_file_is_refused_at_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkfifoat(f->dir, "fifo", 0600), 0);
    assert_int_equal(mkdirat(f->dir, "dir", 0700), 0);
    assert_int_equal(symlinkat("/dev/zero", f->dir, "link"), 0);
    assert_int_equal(try_open(f, "fifo"), -EINVAL);
    assert_int_equal(try_open(f, "dir"), -EINVAL);
    assert_int_equal(try_open(f, "link"), -ELOOP);
    assert_int_equal(f->fs->open(f->fs, f->dir, "link", true, true), -EEXIST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_file_layer__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_private_and_made_only_once),     TEST(what_is_written_is_read_as_far_as_it_goes),
        TEST(allocated_bytes_are_zeros_that_are_there), TEST(names_change_and_go),
        TEST(a_directory_that_is_gone_is_an_error),     TEST(what_is_no_regular_file_is_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
