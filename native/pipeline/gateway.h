// The gateway of a subnet: answers for its own addresses, routes to the other subnets of the
// network.

#ifndef WEFT_PIPELINE_GATEWAY_H_
#define WEFT_PIPELINE_GATEWAY_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Frames for the gateway's MAC; others pass. Every host is the gateway for its own endpoints: a
// frame is routed where it enters, and travels in the VNI of the subnet it is for. After routing,
// the passage is in that VNI and goes on.
Verdict PassGateway(Passage* passage, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_GATEWAY_H_
