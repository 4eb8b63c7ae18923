/* SPDX-License-Identifier: ISC */
/*
 * vhost-user on the wire (QEMU's docs/interop/vhost-user): one table of
 * requests, send and receive, for both halves.  Sockets block; how long is
 * theirs to say (SO_RCVTIMEO, SO_SNDTIMEO).
 * Runs in: vm process, device processes.  Trusts: nobody.
 */
#ifndef VHU_WIRE_H
#define VHU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define VHU_FDS_MAX 8
#define VHU_REGIONS_MAX 8
#define VHU_CONFIG_MAX 256

/* Flags of a message. */
#define VHU_VERSION 1u
#define VHU_VERSION_MASK 3u
#define VHU_REPLY 4u
#define VHU_NEED_REPLY 8u

/* A feature bit of ours beside the device's: there are protocol features. */
#define VHU_F_PROTOCOL_FEATURES (1ull << 30)

/* Protocol features. */
#define VHU_P_MQ (1ull << 0)
#define VHU_P_REPLY_ACK (1ull << 3)
#define VHU_P_CONFIG (1ull << 9)
#define VHU_P_INFLIGHT_SHMFD (1ull << 12)
#define VHU_P_RESET_DEVICE (1ull << 13)
#define VHU_P_STATUS (1ull << 16)

enum vhu_request {
	VHU_GET_FEATURES = 1,
	VHU_SET_FEATURES = 2,
	VHU_SET_OWNER = 3,
	VHU_RESET_OWNER = 4,
	VHU_SET_MEM_TABLE = 5,
	VHU_SET_VRING_NUM = 8,
	VHU_SET_VRING_ADDR = 9,
	VHU_SET_VRING_BASE = 10,
	VHU_GET_VRING_BASE = 11,
	VHU_SET_VRING_KICK = 12,
	VHU_SET_VRING_CALL = 13,
	VHU_SET_VRING_ERR = 14,
	VHU_GET_PROTOCOL_FEATURES = 15,
	VHU_SET_PROTOCOL_FEATURES = 16,
	VHU_GET_QUEUE_NUM = 17,
	VHU_SET_VRING_ENABLE = 18,
	VHU_GET_CONFIG = 24,
	VHU_SET_CONFIG = 25,
	VHU_GET_INFLIGHT_FD = 31,
	VHU_SET_INFLIGHT_FD = 32,
	VHU_RESET_DEVICE = 34,
	VHU_SET_STATUS = 39,
	VHU_GET_STATUS = 40,
};

struct vhu_state {
	uint32_t index, num;
};

struct vhu_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail; /* of the front end's address space */
	uint64_t log;
};

struct vhu_region {
	uint64_t gpa, bytes, user_addr, off_bytes;
};

struct vhu_mem {
	uint32_t nregions, pad;
	struct vhu_region region[VHU_REGIONS_MAX];
};
#define VHU_MEM_BYTES(n) (8 + (n) * sizeof(struct vhu_region))

#define VHU_CONFIG_HEAD_BYTES 12
struct vhu_config {
	uint32_t off_bytes, bytes, flags;
	uint8_t data[VHU_CONFIG_MAX];
};

struct vhu_inflight {
	uint64_t map_bytes, off_bytes;
	uint16_t nqueues, queue_size;
	uint32_t pad; /* QEMU sends and wants it */
};

/* In the number that goes with a kick, call or err fd. */
#define VHU_VRING_INDEX 0xffu
#define VHU_VRING_NOFD 0x100u

union vhu_body {
	uint64_t u64;
	struct vhu_state state;
	struct vhu_addr addr;
	struct vhu_mem mem;
	struct vhu_config config;
	struct vhu_inflight inflight;
};

struct vhu_msg {
	uint32_t request, flags, size; /* size: of the body, bytes */
	union vhu_body body;
	int fd[VHU_FDS_MAX]; /* owned; -1 from nfds on */
	unsigned nfds;
};

/* How many fds go with a request, or with the reply to it. */
enum vhu_fds {
	VHU_FD_NONE,
	VHU_FD_ONE,
	VHU_FD_VRING,   /* one, or none where body.u64 says so */
	VHU_FD_REGIONS, /* as many as regions */
};

struct vhu_row {
	uint32_t request;
	const char *name;
	uint16_t min, max; /* bytes of the request's body */
	/* Of the reply; max 0: only an acknowledgement, a u64, if asked for */
	uint16_t reply_min, reply_max;
	enum vhu_fds fds, reply_fds;
};
/* THE table of requests; NULL: not one of ours. */
const struct vhu_row *vhu_row(uint32_t request);
extern const struct vhu_row vhu_table[];
extern const size_t vhu_ntable;

/* An empty message of a request; its body's bytes as the table's least. */
void vhu_msg_init(struct vhu_msg *, uint32_t request);
/* The reply to a request; its body of zeros, the table's least again. */
void vhu_msg_reply(struct vhu_msg *, const struct vhu_msg *request);
/* Close what is left of its fds. */
void vhu_msg_close(struct vhu_msg *);

/*
 * One message, judged by the table: 1, 0 the other end has gone, -1 not
 * vhost-user, too late (ETIMEDOUT) or a request that is not ours.  After 0 and
 * -1 there are no fds in it and the socket is of no more use.
 */
int vhu_recv(int sock, struct vhu_msg *, struct err *);
/* 0 or -1; the fds stay the caller's. */
int vhu_send(int sock, const struct vhu_msg *, struct err *);
/* The same judgement of a message that is in memory, fds counted. */
int vhu_check(const struct vhu_msg *, struct err *);

#endif
