/* What every subject is: a program that becomes a daemon. subject.c has the rest. */
#ifndef SUBJECT_H
#define SUBJECT_H

/* Comes back in the daemon with 0, or anywhere with an errno. */
int become_daemon(const char *pid_file);

#endif
