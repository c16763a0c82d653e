/* Runs a program and kills it, with all its threads, at one certain system call: stepper PORT STOP
 * COMMAND... Counting begins when the program connects to PORT on the loopback interface; each
 * system call of each thread counts twice, before it is done and after. At the STOP-th count all of
 * it gets SIGKILL; with STOP 0 it is stopped once its login's file is durable and 40 more have
 * passed. A program that has nothing more to do once the file is durable makes no more calls, and
 * is killed where it rests. Then one line tells how far it had come:
 *
 *   count=N call=NR side=entry|exit begun=B renamed=R durable=D arrived=A end=E
 *
 * begun: the temporary file of a login was opened; renamed: it has its name; durable: and the
 * directory was synced. arrived, end: the counts of the last bytes from the login server before it
 * was begun, and of its being durable. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64
#define AFTER 40
#define REST_S 2

struct thread {
	pid_t id;
	bool inside; /* of a system call */
};

static struct {
	struct thread threads[THREADS_MAX];
	unsigned port;
	int socket; /* to the login server; -1: not connected yet */
	long stop, count, arrived, end;
	bool begun, renamed, durable;
} s = {.socket = -1};

static volatile sig_atomic_t rests;

static void at_rest(int signal)
{
	(void)signal;
	rests = 1;
}

static struct thread *thread_of(pid_t id)
{
	for (size_t i = 0; i < THREADS_MAX; i++)
		if (s.threads[i].id == id)
			return &s.threads[i];
	for (size_t i = 0; i < THREADS_MAX; i++)
		if (!s.threads[i].id) {
			s.threads[i] = (struct thread){.id = id};
			return &s.threads[i];
		}
	abort();
}

static void read_memory(pid_t id, unsigned long from, void *to, size_t length)
{
	struct iovec here = {to, length}, there = {(void *)from, length};

	memset(to, 0, length);
	/* a text near the end of its page: less is read, and that is enough */
	if (process_vm_readv(id, &here, 1, &there, 1, 0) < 0)
		for (size_t i = 0; i < length; i++) {
			here = (struct iovec){(char *)to + i, 1};
			there = (struct iovec){(char *)from + i, 1};
			if (process_vm_readv(id, &here, 1, &there, 1, 0) != 1)
				return;
		}
}

static bool path_ends(pid_t id, unsigned long at, const char *end)
{
	char path[256];
	size_t length;

	read_memory(id, at, path, sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	length = strlen(path);
	return length > strlen(end) && !strcmp(path + length - strlen(end), end);
}

static void entered(pid_t id, const struct user_regs_struct *r)
{
	struct sockaddr_in address;

	if (r->orig_rax == SYS_connect && s.socket < 0) {
		read_memory(id, r->rsi, &address, sizeof(address));
		if (address.sin_family == AF_INET && ntohs(address.sin_port) == s.port)
			s.socket = (int)r->rdi;
	}
	/* to be written, not to see whether an earlier run left it; what was left gets its name
	 * before anything is asked of the server */
	/* at the start room is set aside in it */
	if (s.arrived && r->orig_rax == SYS_openat && (r->rdx & O_ACCMODE) == O_WRONLY &&
		path_ends(id, r->rsi, ".login.tmp"))
		s.begun = true;
}

static void left(pid_t id, const struct user_regs_struct *r)
{
	long result = (long)r->rax;

	switch (r->orig_rax) {
	case SYS_read:
	case SYS_recvfrom:
		if (!s.begun && result > 0 && (int)r->rdi == s.socket)
			s.arrived = s.count;
		break;
	case SYS_renameat:
	case SYS_renameat2:
		if (s.begun && result == 0 && path_ends(id, r->r10, ".login"))
			s.renamed = true;
		break;
	case SYS_fsync:
		if (result == 0 && s.renamed && !s.durable) {
			s.durable = true;
			s.end = s.count;
		}
		break;
	}
}

static void tell(const struct user_regs_struct *r, bool inside)
{
	printf("count=%ld call=%ld side=%s begun=%d renamed=%d durable=%d arrived=%ld end=%ld\n",
		s.count, r ? (long)r->orig_rax : -1, inside ? "entry" : "exit", s.begun, s.renamed,
		s.durable, s.arrived, s.end);
	fflush(stdout);
}

/* True: this is where to stop. */
static bool stepped(pid_t id)
{
	struct thread *t = thread_of(id);
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, id, NULL, &r) < 0)
		return false; /* being killed, or gone */
	t->inside = !t->inside;
	if (s.socket >= 0)
		s.count++;
	if (t->inside)
		entered(id, &r);
	else
		left(id, &r);
	if (s.durable)
		alarm(REST_S);
	if (s.socket < 0 || (s.stop ? s.count < s.stop : !s.durable || s.count < s.end + AFTER))
		return false;
	tell(&r, t->inside);
	return true;
}

static void start(char **command)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(126);
	raise(SIGSTOP);
	execvp(*command, command);
	_exit(127);
}

int main(int argc, char **argv)
{
	const unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
				      PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	const struct sigaction alarmed = {.sa_handler = at_rest};
	bool stopped = false;
	int status;
	pid_t child, id;

	if (argc < 4)
		return 2;
	s.port = (unsigned)strtoul(argv[1], NULL, 10);
	s.stop = strtol(argv[2], NULL, 10);
	sigaction(SIGALRM, &alarmed, NULL);
	child = fork();
	if (child == 0)
		start(argv + 3);
	if (child < 0 || waitpid(child, &status, 0) != child ||
		ptrace(PTRACE_SETOPTIONS, child, NULL, options) < 0 ||
		ptrace(PTRACE_SYSCALL, child, NULL, NULL) < 0)
		return 1;
	while ((id = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		int number = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

		if (id < 0) {
			if (rests && !stopped) {
				tell(NULL, false);
				stopped = true;
				kill(child, SIGKILL);
			}
			continue;
		}
		if (!WIFSTOPPED(status)) {
			thread_of(id)->id = 0;
			if (id == child)
				break;
			continue;
		}
		if (!stopped && number == (SIGTRAP | 0x80) && stepped(id)) {
			stopped = true;
			kill(child, SIGKILL);
		}
		/* what is not ours is the program's */
		if (number == (SIGTRAP | 0x80) || number == SIGTRAP || number == SIGSTOP)
			number = 0;
		ptrace(PTRACE_SYSCALL, id, NULL, (void *)(long)number);
	}
	if (!stopped)
		tell(NULL, false);
	return stopped ? 0 : 3;
}
