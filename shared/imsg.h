/* SPDX-License-Identifier: ISC */
/*
 * Messages between processes over a connected AF_UNIX SOCK_STREAM socket: a
 * 16 byte header, up to MAX_IMSGSIZE - 16 bytes of payload, at most one fd.
 * The names and meanings are OpenBSD's imsg_init(3) of 2024 and later; where we
 * differ the comment says so.
 *
 * Trusts: nobody.  Whatever the other side sends, these functions return -1
 * with errno and the caller closes that connection; memory and fds per
 * connection are bounded, and no path loses an fd.
 *
 * One imsgbuf belongs to one thread.  A struct imsg, once gotten, depends on no
 * imsgbuf and may outlive it.
 *
 * Ownership in the comments: borrows (only for the call), takes (becomes ours,
 * the caller's copy is dead), gives (becomes the caller's).
 */
#ifndef SHARED_IMSG_H
#define SHARED_IMSG_H

#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <stddef.h>
#include <stdint.h>

#define IMSG_HEADER_SIZE sizeof(struct imsg_hdr)
#define MAX_IMSGSIZE 16384       /* with the header; the hard cap both ways */
#define IMSG_FD_MARK 0x80000000U /* in hdr.len on the wire: an fd comes along */
#define IMSG_READ_BYTES 65536    /* the read buffer of a connection */
#define IMSG_READ_FDS 16         /* fds waiting for their messages, at most */
#define IMSG_QUEUE_BYTES (4U << 20) /* write queue limit until set */

/* On the wire in host order: both ends are on this host. */
struct imsg_hdr {
	uint32_t type;
	uint32_t len; /* with the header; IMSG_FD_MARK only on the wire */
	uint32_t peerid;
	uint32_t pid; /* whatever the sender wrote: no proof of anything */
};

/* Bytes with a read and a write position, and perhaps an fd. */
struct ibuf {
	TAILQ_ENTRY(ibuf) entry;
	unsigned char *buf; /* aligned for any type when from ibuf_open() */
	size_t size;        /* room at buf */
	size_t wpos, rpos;  /* rpos <= wpos <= size */
	int fd;             /* -1: none; owned */
};

TAILQ_HEAD(ibufqueue, ibuf);

struct imsgbuf {
	struct ibufqueue queue; /* to be written, in order */
	unsigned char *rbuf;    /* IMSG_READ_BYTES */
	size_t rpos, wpos;      /* of rbuf: rpos <= wpos */
	size_t queue_bytes, queue_cost, queue_limit;
	uint32_t queue_len;
	uint32_t maxsize;
	pid_t pid;
	int fd;
	int allow_fdpass; /* they may go */
	int take_fds;     /* they may come */
	int read_errno;   /* not 0: the peer broke the rules */
	unsigned nfds;
	int fds[IMSG_READ_FDS]; /* received, oldest first */
};

struct imsg {
	struct imsg_hdr hdr; /* len is that of header and payload, no mark */
	void *data;          /* payload, aligned for any type; NULL: none */
	struct ibuf *buf;    /* owns payload and fd */
};

/*
 * Connections.
 */

/*
 * Make *imsgbuf ready for socket fd, which is borrowed until imsgbuf_clear()
 * and never closed here.  0, or -1 with errno ENOMEM.  Passing fds is off.
 * SO_PASSCRED and SO_PASSSEC must be off on fd.
 */
int imsgbuf_init(struct imsgbuf *imsgbuf, int fd);
/* Fds may pass both ways from now on; without, one that comes is EBADMSG. */
void imsgbuf_allow_fdpass(struct imsgbuf *imsgbuf);
/* Fds may go, but none may come: the kernel drops it, and it is EBADMSG. */
void imsgbuf_refuse_fds(struct imsgbuf *imsgbuf);
/*
 * Largest message, header included, that may come or go on this connection:
 * IMSG_HEADER_SIZE to MAX_IMSGSIZE, else -1 with EINVAL.
 */
int imsgbuf_set_maxsize(struct imsgbuf *imsgbuf, uint32_t max);
/*
 * How much memory unsent messages may hold before making one more fails with
 * ENOBUFS (bookkeeping counts too).  Into an empty queue one message of any
 * size goes.  Ours, not OpenBSD's.
 */
void imsgbuf_set_queuelimit(struct imsgbuf *imsgbuf, size_t bytes);
/*
 * Drop what is unread and unsent, close the fds in it, free all memory.  The
 * socket stays open.  A second call, or one on zeroed memory, does nothing.
 */
void imsgbuf_clear(struct imsgbuf *imsgbuf);

/*
 * One recvmsg(2).  1: go on with imsgbuf_get() until it returns 0 (also when
 * there was nothing yet: EAGAIN); 0: the peer closed; -1, close the connection:
 *   EBADMSG  more fds than IMSG_READ_FDS, or an fd where passing is off
 *   EMFILE   the peer passed an fd, and this process has no room for it
 *   ENOBUFS  64 KiB are unread: the caller did not imsgbuf_get() until 0
 *   others   of recvmsg(2), or those of an earlier imsgbuf_get()
 * New fds are close-on-exec.
 */
int imsgbuf_read(struct imsgbuf *imsgbuf);
/*
 * Give the next message: 1, *imsg is the caller's, who calls imsg_free(); 0: no
 * whole message is there; -1 with errno, close the connection:
 *   EBADMSG  length below the header's, an fd announced but not there, or there
 *            but not announced
 *   ERANGE   longer than imsgbuf_set_maxsize() allows
 *   ENOMEM
 * After -1 every further read or get fails the same way: a stream that lost
 * its frame is not searched for a new one.
 */
int imsgbuf_get(struct imsgbuf *imsgbuf, struct imsg *imsg);
/* The same with the message's length, header included, in place of 1. */
ssize_t imsg_get(struct imsgbuf *imsgbuf, struct imsg *imsg);

/*
 * Send what the socket takes.  0: sent, or some is left (imsgbuf_queuelen() is
 * not 0: wait for POLLOUT); -1 with errno (EPIPE: peer gone, without SIGPIPE):
 * close the connection.
 * An fd is closed on our side once its message's first byte is out.
 */
int imsgbuf_write(struct imsgbuf *imsgbuf);
/* Send all, waiting in poll(2) if the socket does not block.  0 or -1. */
int imsgbuf_flush(struct imsgbuf *imsgbuf);
/* Messages not yet sent whole. */
uint32_t imsgbuf_queuelen(const struct imsgbuf *imsgbuf);
/* Their bytes on the wire that are not yet sent.  Ours, not OpenBSD's. */
size_t imsgbuf_queuebytes(const struct imsgbuf *imsgbuf);

/*
 * Sending.  pid 0 means our own.  These only queue.
 */

/*
 * Queue a message; data is copied.  1: queued, and fd (-1: none) is taken; -1
 * with errno, nothing was queued and fd still is the caller's:
 *   ERANGE   longer than the largest message
 *   EINVAL   an fd, and passing is off
 *   ENOBUFS  the queue is full, ENOMEM
 */
int imsg_compose(struct imsgbuf *imsgbuf, uint32_t type, uint32_t id, pid_t pid,
    int fd, const void *data, size_t len);
int imsg_composev(struct imsgbuf *imsgbuf, uint32_t type, uint32_t id,
    pid_t pid, int fd, const struct iovec *iov, int niov);
/*
 * In pieces: imsg_create() gives a buffer with room for len payload bytes (NULL
 * with errno as above), imsg_add() appends (len, or -1 with ERANGE: it freed
 * msg), ibuf_fd_set() hands it an fd, imsg_close() takes msg and queues it: 1,
 * or -1 with errno as above (freed, with its fd).  To give up before:
 * ibuf_free().
 */
struct ibuf *imsg_create(
    struct imsgbuf *imsgbuf, uint32_t type, uint32_t id, pid_t pid, size_t len);
int imsg_add(struct ibuf *msg, const void *data, size_t len);
int imsg_close(struct imsgbuf *imsgbuf, struct ibuf *msg);
/* Queue a copy of a received message without its fd.  As imsg_compose(). */
int imsg_forward(struct imsgbuf *imsgbuf, const struct imsg *imsg);

/*
 * A received message.
 */

/* Free it; an fd that nobody took is closed.  Again or on zeroed memory: ok. */
void imsg_free(struct imsg *imsg);
uint32_t imsg_get_type(const struct imsg *imsg);
uint32_t imsg_get_id(const struct imsg *imsg);
pid_t imsg_get_pid(const struct imsg *imsg);
/* Payload bytes that the getters below have not consumed. */
size_t imsg_get_len(const struct imsg *imsg);
/* Gives the fd, once; -1: none, or taken before. */
int imsg_get_fd(struct imsg *imsg);
/*
 * Copy the payload: 0, or -1 with EBADMSG unless exactly len bytes are there
 * (EINVAL for len 0).
 */
int imsg_get_data(struct imsg *imsg, void *data, size_t len);
/* Copy and consume the next len bytes: 0, or -1 with EBADMSG if fewer. */
int imsg_get_buf(struct imsg *imsg, void *data, size_t len);
/*
 * The next len bytes as a string: 0, or -1 with EOVERFLOW when no NUL is in
 * them, EBADMSG if fewer, EINVAL for len 0.
 */
int imsg_get_strbuf(struct imsg *imsg, char *str, size_t len);
/*
 * Look at the rest through *ibuf, which borrows it until imsg_free(): 0, or -1
 * with EBADMSG when nothing is left.  Consumes it.
 */
int imsg_get_ibuf(struct imsg *imsg, struct ibuf *ibuf);

/*
 * Buffers.
 */

/* Room for len <= MAX_IMSGSIZE bytes; or NULL with ENOMEM, ERANGE. */
struct ibuf *ibuf_open(size_t len);
/* Frees, closes its fd; NULL is fine.  Not for what imsg_get_ibuf() filled. */
void ibuf_free(struct ibuf *buf);
/* Append: 0, or -1 with ERANGE when it does not fit. */
int ibuf_add(struct ibuf *buf, const void *data, size_t len);
/* Bytes not yet read, and where they are. */
size_t ibuf_size(const struct ibuf *buf);
void *ibuf_data(const struct ibuf *buf);
/* As imsg_get_buf() and imsg_get_strbuf(). */
int ibuf_get(struct ibuf *buf, void *data, size_t len);
int ibuf_get_strbuf(struct ibuf *buf, char *str, size_t len);
/* Step over len bytes: 0, or -1 with EBADMSG. */
int ibuf_skip(struct ibuf *buf, size_t len);
/* A view of memory that the caller keeps alive; never freed, no fd. */
void ibuf_from_buffer(struct ibuf *buf, void *data, size_t len);
/* Takes fd; one that was there before is closed. */
void ibuf_fd_set(struct ibuf *buf, int fd);
/* Gives the fd, or -1. */
int ibuf_fd_get(struct ibuf *buf);

#endif
