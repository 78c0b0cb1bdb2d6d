/* A progress line on a terminal. */
#include "progress.h"

#include "show.h"

#include <inttypes.h>

#define DRAW_EVERY_MS 100
#define LOOK_EVERY_RECORDS 256 /* reading the clock costs more than a record */
#define BAR_WIDTH 30

void cli_progress_begin(struct cli_progress *progress, const struct cli *cli, const char *what)
{
    *progress = (struct cli_progress){.on = cli->err_is_terminal, .file = cli->err, .what = what};
}

static bool is_due(struct cli_progress *progress)
{
    int64_t now_ms = cli_now_ms();

    if (progress->drawn && now_ms - progress->drawn_ms < DRAW_EVERY_MS)
        return false;
    progress->drawn = true;
    progress->drawn_ms = now_ms;
    return true;
}

static void draw_bar(FILE *file, uint64_t at, uint64_t total)
{
    double part = at < total ? (double)at / (double)total : 1;
    int filled = (int)(part * BAR_WIDTH);

    fputs(" [", file);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : '-', file);
    fprintf(file, "] %3d%%", (int)(part * 100));
}

void cli_progress_at(struct cli_progress *progress, uint64_t records, uint64_t bytes, uint64_t total_bytes)
{
    if (!progress->on || records % LOOK_EVERY_RECORDS != 0 || !is_due(progress))
        return;
    fprintf(progress->file, "\r%s", progress->what);
    if (total_bytes > 0)
        draw_bar(progress->file, bytes, total_bytes);
    fprintf(progress->file, " %" PRIu64 " records\033[K", records);
    fflush(progress->file);
}

/* What is left takes as long as what was done did. */
static void draw_rate(const struct cli_progress *progress, uint64_t done, uint64_t total)
{
    int64_t took_ms = progress->drawn_ms - progress->begun_ms;
    double per_s = took_ms > 0 ? (double)done * 1000 / (double)took_ms : 0;

    if (per_s > 0)
        fprintf(progress->file, ", %.0f a second, %.0f s left", per_s, (double)(total - done) / per_s + 0.5);
}

void cli_progress_towards(struct cli_progress *progress, uint64_t done, uint64_t total)
{
    if (!progress->on)
        return;
    if (progress->begun_ms == 0)
        progress->begun_ms = cli_now_ms();
    if (!is_due(progress))
        return;
    fprintf(progress->file, "\r%s", progress->what);
    draw_bar(progress->file, done, total);
    fprintf(progress->file, " %" PRIu64 " of %" PRIu64, done, total);
    draw_rate(progress, done, total);
    fputs("\033[K", progress->file);
    fflush(progress->file);
}

void cli_progress_say(struct cli_progress *progress, const char *sentence)
{
    if (!progress->on || !is_due(progress))
        return;
    fprintf(progress->file, "\r%s: ", progress->what);
    cli_put_visible(progress->file, cli_slice(sentence));
    fputs("\033[K", progress->file);
    fflush(progress->file);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", progress->file);
    progress->drawn = false;
}
