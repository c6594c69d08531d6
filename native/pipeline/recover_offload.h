// Recovers offload metadata that a datagram lost on its way from a foreign peer on the same
// machine.
//
// Over a veth, a kernel VTEP hands our socket what it had in memory: TCP superframes of up to 64 KB
// in one datagram, and inner checksums that hold only the pseudo-header's sum, because no hardware
// was on the way to finish them. The socket interface tells neither. Both can be seen in the frame
// itself:
//
//  - The checksum field equals the folded sum of the pseudo-header: the checksum is owed. A
//    finished checksum has that value once in 65,536 packets; treating that one as owed changes
//    nothing for its receiver.
//  - Such a TCP packet is larger than the network's MTU: it is a superframe. The size of its
//    segments is not known; the largest that the MTU allows is as good as any, TCP being a stream.
//  - Of a UDP superframe the socket does tell the size of the segments (io/arrival.h).

#ifndef WEFT_PIPELINE_RECOVER_OFFLOAD_H_
#define WEFT_PIPELINE_RECOVER_OFFLOAD_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Sets frame->offload, and cuts Ethernet padding off a packet whose checksum is owed. Decides
// nothing: a packet that is too large and no superframe is its receiver's to judge.
void RecoverOffload(const Passage& passage, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_RECOVER_OFFLOAD_H_
