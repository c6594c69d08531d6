// Service schedules: what the control thread prepares in a ServiceRow, and the choice of a backend
// from it.

#ifndef WEFT_TABLES_SERVICE_SCHEDULE_H_
#define WEFT_TABLES_SERVICE_SCHEDULE_H_

#include "../tables/rows.h"

namespace weft {

// Fills in sequence, maglev and by_address.
void PrepareSchedule(ServiceRow* row);

// What a scheduler may know of a flow.
struct Chooser {
  IpAddress client;
  uint16_t client_port;
  uint16_t vip_port;
  uint8_t protocol;
};

// The backend of a new flow; nullptr: none takes new flows. Takes a step of the service's position
// where the scheduler has one.
const ServiceRow::Backend* ChooseBackend(const ServiceRow& row, const Chooser& flow);

}  // namespace weft

#endif  // WEFT_TABLES_SERVICE_SCHEDULE_H_
