#include "../pipeline/vxlan_decap.h"

#include "../wire/ethernet.h"
#include "../wire/vxlan.h"

namespace weft {

Verdict Decapsulate(Passage* passage, VtepAddress source, Frame* frame) {
  const auto* vxlan = frame->Get<VxlanHeader>(0);
  if (vxlan == nullptr || !frame->Has(sizeof(VxlanHeader), sizeof(EthernetHeader))) {
    return Verdict::Drop(Counter::drop_vxlan_short);
  }
  if ((vxlan->flags & kVxlanFlagVni) == 0) return Verdict::Drop(Counter::drop_vxlan_flags);
  const VtepRow* vtep = passage->tables.vteps.Find({source});
  if (vtep == nullptr) return Verdict::Drop(Counter::drop_unknown_vtep);
  passage->trail.Note(TableId::kVtep, vtep->record);

  passage->vni = vxlan->vni.Get();
  passage->network = passage->tables.networks.Find({passage->vni});
  // A row without ports is there for routing into that VNI; no endpoint of this host is on it.
  if (passage->network == nullptr || passage->network->ports.empty()) {
    // No network has VNI 0: what a doctor sends with it is told apart from what is sent in vain.
    return Verdict::Drop(passage->vni == 0 ? Counter::drop_doctor_probe
                                           : Counter::drop_unknown_vni);
  }
  passage->trail.Note(TableId::kNetwork, passage->network->record);
  frame->Strip(sizeof(VxlanHeader));
  return Verdict::Continue();
}

}  // namespace weft
