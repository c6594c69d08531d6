{
  # Three products: the addon (`weft.node`), the sandboxes' init (`weft-init`) and the generator of the benchmark (`weft-flood`).
  "target_defaults": {
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
  },
  "targets": [
    {
      "target_name": "weft",
      "sources": [
        "addon.cc",
        "dataplane.cc",
        "executor.cc",
        "worker.cc",
        "binding/convert.cc",
        "binding/dataplane_wrap.cc",
        "binding/descriptor_receiver.cc",
        "io/segment.cc",
        "io/source_ports.cc",
        "io/tap_port.cc",
        "io/underlay_socket.cc",
        "pipeline/classify.cc",
        "pipeline/forward.cc",
        "pipeline/from_tap.cc",
        "pipeline/from_underlay.cc",
        "pipeline/gateway.cc",
        "pipeline/icmp_error.cc",
        "pipeline/mtu.cc",
        "pipeline/neighbour_responder.cc",
        "pipeline/recover_offload.cc",
        "pipeline/source_check.cc",
        "pipeline/vxlan_decap.cc",
        "tables/tables.cc",
        "wire/checksum.cc",
        "wire/packet_key.cc",
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags_cc": ["-O2"],
    },
    {
      "target_name": "weft-init",
      "type": "executable",
      "sources": ["<!@(ls init/*.cc)"],
      "cflags_cc": ["-Os", "-fno-exceptions", "-fno-rtti"],
      # Static: it must start in a millisecond, hundreds of them run, and a library update must not touch a live sandbox.
      "ldflags": ["-static"],
    },
    {
      "target_name": "weft-flood",
      "type": "executable",
      "sources": ["<!@(ls bench/*.cc)"],
      "cflags_cc": ["-O2", "-fno-exceptions", "-fno-rtti"],
      # Static, as weft-init: it runs in sandboxes, whatever they have of libraries.
      "ldflags": ["-static"],
    },
  ],
}
