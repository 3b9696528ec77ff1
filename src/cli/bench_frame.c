/* SPDX-License-Identifier: BSD-3-Clause */
#include "base.h"
#include "bench.h"

#include <slipring/port.h>

enum {
	ETH = 14,
	IPV4 = 20,
	UDP = 8,
	TCP = 20,
	PAYLOAD = 16
};
enum {
	MAGIC = 0x53524e42
}; /* "SRNB" */
enum {
	TCP_MSS = 1448
};

static uint32_t headers(bool tso)
{
	return ETH + IPV4 + (tso ? TCP : UDP);
}

unsigned bench_frame_min(bool tso)
{
	return headers(tso) + PAYLOAD;
}

static void put_mac(uint8_t *at, unsigned side)
{
	static const uint8_t mac[6] = { 0x02, 's', 'r', 'b', 'n', 0 };

	memcpy(at, mac, sizeof(mac));
	at[5] = (uint8_t)(0x0a + side);
}

/* One's complement sum, not yet folded, of an even number of bytes. */
static uint32_t sum16(const uint8_t *p, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += sr_get_be16(p + i);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put_ipv4(uint8_t *ip, uint32_t len, uint8_t protocol, struct bench_flow flow,
		     unsigned to_side)
{
	memset(ip, 0, IPV4);
	ip[0] = 0x45;
	sr_put_be16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = protocol;
	sr_put_be32(ip + 12, 0xc6120001 + flow.side); /* 198.18.0.0/15: RFC 2544 */
	sr_put_be32(ip + 16, 0xc6120001 + to_side);
	sr_put_be16(ip + 10, (uint16_t)~fold(sum16(ip, IPV4)));
}

/* The checksum is left to the receiver's side: the pseudo header's sum stands in its field. */
static void put_tcp(uint8_t *ip, uint32_t len, struct sr_net_driver_hdr *hdr)
{
	uint8_t *tcp = ip + IPV4;

	memset(tcp + 4, 0, TCP - 4);
	tcp[12] = TCP / 4 << 4;
	tcp[13] = 0x10; /* ACK */
	sr_put_be16(tcp + 14, 0xffff);
	sr_put_be16(tcp + 16, fold(sum16(ip + 12, 8) + ip[9] + len));
	hdr->flags = SR_OFF_NEEDS_CSUM;
	hdr->gso_type = SR_GSO_TCPV4;
	hdr->hdr_len = ETH + IPV4 + TCP;
	hdr->gso_size = TCP_MSS;
	hdr->csum_start = ETH + IPV4;
	hdr->csum_offset = 16;
}

static void put_udp(uint8_t *udp, uint32_t len)
{
	sr_put_be16(udp + 4, (uint16_t)len);
	sr_put_be16(udp + 6, 0);
}

void bench_frame_make(uint8_t *frame, uint32_t len, struct sr_net_driver_hdr *hdr,
		      struct bench_flow flow, unsigned to_side, bool tso)
{
	uint8_t *ip = frame + ETH, *l4 = ip + IPV4, *payload = frame + headers(tso);

	put_mac(frame, to_side);
	put_mac(frame + 6, flow.side);
	sr_put_be16(frame + 12, 0x0800);
	put_ipv4(ip, len - ETH, tso ? 6 : 17, flow, to_side);
	sr_put_be16(l4, (uint16_t)(49152 + flow.pair));
	sr_put_be16(l4 + 2, 9); /* discard */
	if (tso)
		put_tcp(ip, len - ETH - IPV4, hdr);
	else
		put_udp(l4, len - ETH - IPV4);
	memset(payload, 0x5a, len - headers(tso));
	sr_put_be32(payload, MAGIC);
	sr_put_be16(payload + 4, flow.side);
	sr_put_be16(payload + 6, flow.pair);
	bench_frame_number(frame, tso, 0);
}

/* Native order: only this program reads it. */
void bench_frame_number(uint8_t *frame, bool tso, uint64_t seq)
{
	memcpy(frame + headers(tso) + 8, &seq, sizeof(seq));
}

bool bench_frame_read(const uint8_t *frame, uint32_t len, bool tso, struct bench_flow *flow,
		      uint64_t *seq)
{
	const uint8_t *payload = frame + headers(tso);
	uint8_t copy[8];

	if (len < bench_frame_min(tso))
		return false;
	memcpy(copy, payload, sizeof(copy));
	if (sr_get_be32(copy) != MAGIC)
		return false;
	flow->side = copy[5];
	flow->pair = copy[7];
	if (seq)
		memcpy(seq, payload + sizeof(copy), sizeof(*seq));
	return true;
}

static uint64_t *word(struct bench_check *c, uint64_t seq)
{
	return &c->seen[seq % BENCH_WINDOW / 64];
}

void bench_check_frame(struct bench_check *c, uint64_t seq)
{
	uint64_t bit = 1ull << seq % 64;

	c->received++;
	if (SR_LIKELY(seq >= c->next)) {
		if (seq - c->next >= BENCH_WINDOW) {
			memset(c->seen, 0, sizeof(c->seen));
			c->next = seq;
		}
		for (; c->next <= seq; c->next++)
			*word(c, c->next) &= ~(1ull << c->next % 64);
		*word(c, seq) |= bit;
	} else if (c->next - seq <= BENCH_WINDOW && *word(c, seq) & bit) {
		c->duplicated++;
	} else {
		if (c->next - seq <= BENCH_WINDOW)
			*word(c, seq) |= bit;
		c->reordered++;
	}
}
