/* Preloaded into a program on tmpfs, where a sync costs nothing: makes every sync take SYNC_DELAY_US microseconds, as a
 * disk of that speed does, without using the processor. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec delay;

__attribute__((constructor)) static void read_delay(void)
{
    const char *text = getenv("SYNC_DELAY_US");
    long micros = text ? atol(text) : 0;
    delay.tv_sec = micros / 1000000;
    delay.tv_nsec = micros % 1000000 * 1000;
    /* Every later thread inherits it: the usual 50 microseconds of slack would be a quarter of a fast sync. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

int fsync(int fd)
{
    nanosleep(&delay, NULL);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    nanosleep(&delay, NULL);
    return (int)syscall(SYS_fdatasync, fd);
}
