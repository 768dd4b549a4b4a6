/* A service that does what its command line tells, word by word: README.md has the words. */
#ifndef STORY_H
#define STORY_H

#include <stddef.h>

struct word {
    const char *name;                /* what stands before "=", or all of it */
    void (*act)(const char *value);  /* with what stands behind, or "" */
};

/* Those of a program's own; the last has no name. */
extern const struct word own_words[];

/* The program waits for a signal of the story, so many microseconds at the most, any time when negative: its number, or 0 when
 * the time passed. */
int next_signal(long microseconds);

/* Whether what was told has arrived, as far as the program can know. */
void settle(void);

/* Called whenever half of this time (microseconds) has passed in "serve"; 0 for never. */
void every(unsigned long microseconds, void (*act)(void));

/* Whether the story has a part for this signal. */
int has_part(int signum);

/* Plays the story: the words up to the first part; a part begins with a word like "HUP:" and is played when that signal
 * comes. */
void play(char **words);

/* Leaves with status 99: the test is wrong, or the machine. */
void broken(const char *what) __attribute__((noreturn));

#endif
