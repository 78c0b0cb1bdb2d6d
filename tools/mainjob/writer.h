/* A writing program that is killed: it does a part of the plan and reports every acknowledgement.
 *
 * It reads the numbers of the operations to do from standard input, and writes a line for each: "+7" before
 * operation 7 is handed to the library if it is an increment (which must not be repeated without need), "=7" when
 * it is acknowledged, "!7 sentence" when it failed. Each line is one write(), so that what was written before a
 * kill arrives. */
#ifndef MAINJOB_WRITER_H
#define MAINJOB_WRITER_H

/* `arguments`: DIR ADDRESS PART START_MS. The exit status. */
int writer_main(int argc, char **arguments);

#endif
