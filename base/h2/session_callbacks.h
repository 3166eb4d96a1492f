#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include <nghttp2/nghttp2.h>

#include "base/h2/session.h"

namespace credence::h2 {

/// What nghttp2 tells a session. `user` is the Session. None of them runs a handler's code.
/// Source: nghttp2.h, "Callbacks".
struct Session::Callbacks {
  static const nghttp2_session_callbacks* All();

  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* user);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnHeader(nghttp2_session*,
                      const nghttp2_frame* frame,
                      nghttp2_rcbuf* name,
                      nghttp2_rcbuf* value,
                      std::uint8_t flags,
                      void* user);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnData(nghttp2_session*,
                    std::uint8_t flags,
                    std::int32_t id,
                    const std::uint8_t* bytes,
                    std::size_t size,
                    void* user);
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnStreamClose(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user);
  static ssize_t ReadAnswer(nghttp2_session* library,
                            std::int32_t id,
                            std::uint8_t* buffer,
                            std::size_t size,
                            std::uint32_t* flags,
                            nghttp2_data_source* source,
                            void* user);
  static int SendAnswer(nghttp2_session*,
                        nghttp2_frame* frame,
                        const std::uint8_t* frame_head,
                        std::size_t size,
                        nghttp2_data_source* source,
                        void* user);
};

}  // namespace credence::h2
