#include "base/h2/session_callbacks.h"

#include <cstring>
#include <memory>
#include <string_view>

#include "base/core/check.h"
#include "base/h2/answer_fields.h"

namespace credence::h2 {
namespace {

constexpr std::size_t kFrameHeadBytes = 9;
/// Over this many times the limit a header block is not answered but the end of the connection.
constexpr std::size_t kHopelessFactor = 4;

Session& Of(void* user) {
  return *static_cast<Session*>(user);
}

std::string_view Text(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

bool EndsStream(const nghttp2_frame_hd& head) {
  return (head.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

bool IsRequest(const nghttp2_frame& frame) {
  return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
}

struct DeleteCallbacks {
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
};

}  // namespace

const nghttp2_session_callbacks* Session::Callbacks::All() {
  static const auto callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    CREDENCE_CHECK(nghttp2_session_callbacks_new(&made) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, OnBeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback2(made, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
    nghttp2_session_callbacks_set_send_data_callback(made, SendAnswer);
    return std::unique_ptr<nghttp2_session_callbacks, DeleteCallbacks>(made);
  }();
  return callbacks.get();
}

int Session::Callbacks::OnBeginFrame(nghttp2_session* library,
                                     const nghttp2_frame_hd* head,
                                     void* user) {
  Session& session = Of(user);
  session.useful_ = true;
  if (session.flood_guard_.OnFrame(
          head->type, head->flags, static_cast<std::uint32_t>(head->length), session.now_)) {
    return 0;
  }
  (void)nghttp2_session_terminate_session(library, NGHTTP2_ENHANCE_YOUR_CALM);
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Session::Callbacks::OnBeginHeaders(nghttp2_session* /*library*/,
                                       const nghttp2_frame* frame,
                                       void* user) {
  Session& session = Of(user);
  session.header_block_since_ = session.now_;
  // The fields of request trailers carry nothing for us.
  session.head_.reset();
  if (IsRequest(*frame)) {
    session.head_.emplace(session.server_.options.max_header_bytes);
  }
  return 0;
}

int Session::Callbacks::OnHeader(nghttp2_session* library,
                                 const nghttp2_frame* /*frame*/,
                                 nghttp2_rcbuf* name,
                                 nghttp2_rcbuf* value,
                                 std::uint8_t /*flags*/,
                                 void* user) {
  Session& session = Of(user);
  session.useful_ = true;
  if (!session.head_) {
    return 0;
  }
  session.head_->Add(Text(name), Text(value));
  if (session.head_->size() > kHopelessFactor * session.server_.options.max_header_bytes) {
    // A few bytes on the wire can stand for megabytes of fields.
    (void)nghttp2_session_terminate_session(library, NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

int Session::Callbacks::OnFrame(nghttp2_session* library, const nghttp2_frame* frame, void* user) {
  Session& session = Of(user);
  const nghttp2_frame_hd& head = frame->hd;
  if (head.type == NGHTTP2_SETTINGS) {
    session.preface_done_ = true;
    return 0;
  }
  if (head.type != NGHTTP2_HEADERS && head.type != NGHTTP2_DATA) {
    return 0;
  }
  if (head.type == NGHTTP2_HEADERS) {
    session.header_block_since_.reset();
  }
  if (IsRequest(*frame)) {
    if (session.head_) {
      session.OnRequest(head.stream_id, EndsStream(head) ? Half::kEnded : Half::kOpen);
    }
    return 0;
  }
  if (head.type == NGHTTP2_HEADERS && !EndsStream(head)) {
    // Trailers must end the request. Source: RFC 9113 section 8.1.
    (void)nghttp2_submit_rst_stream(
        library, NGHTTP2_FLAG_NONE, head.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return 0;
  }
  if (EndsStream(head)) {
    if (Stream* stream = session.Find(head.stream_id); stream != nullptr) {
      stream->OnRequestEnd();
    }
  }
  return 0;
}

int Session::Callbacks::OnData(nghttp2_session* library,
                               std::uint8_t /*flags*/,
                               std::int32_t id,
                               const std::uint8_t* bytes,
                               std::size_t size,
                               void* user) {
  Session& session = Of(user);
  session.useful_ = true;
  if (Stream* stream = session.Find(id); stream != nullptr) {
    stream->OnData({reinterpret_cast<const char*>(bytes), size});
  } else {
    // A refused call, or one that is over.
    (void)nghttp2_session_consume(library, id, size);
  }
  return 0;
}

int Session::Callbacks::OnFrameSent(nghttp2_session* library,
                                    const nghttp2_frame* frame,
                                    void* user) {
  Session& session = Of(user);
  const nghttp2_frame_hd& head = frame->hd;
  const bool answer = head.type == NGHTTP2_HEADERS || head.type == NGHTTP2_DATA;
  // A refusal earns nothing: refused calls are as good a flood as any.
  if (answer && session.Find(head.stream_id) != nullptr) {
    session.flood_guard_.OnCallFrameSent();
  }
  if (head.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
    session.CountAbuse();
  }
  if (head.type == NGHTTP2_HEADERS && EndsStream(head) &&
      nghttp2_session_get_stream_remote_close(library, head.stream_id) == 0) {
    // The answer is complete and the client still sends: ask it to stop. Source: RFC 9113
    // section 8.1.
    (void)nghttp2_submit_rst_stream(library, NGHTTP2_FLAG_NONE, head.stream_id, NGHTTP2_NO_ERROR);
  }
  return 0;
}

int Session::Callbacks::OnStreamClose(nghttp2_session* /*library*/,
                                      std::int32_t id,
                                      std::uint32_t /*error*/,
                                      void* user) {
  Of(user).OnStreamClosed(id);
  return 0;
}

ssize_t Session::Callbacks::ReadAnswer(nghttp2_session* library,
                                       std::int32_t id,
                                       std::uint8_t* /*buffer*/,
                                       std::size_t size,
                                       std::uint32_t* flags,
                                       nghttp2_data_source* /*source*/,
                                       void* user) {
  const Stream* stream = Of(user).Find(id);
  if (stream == nullptr) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  const std::size_t sendable = stream->Sendable(size);
  if (stream->EndsAfter(sendable)) {
    AnswerFields trailers;
    trailers.AddStatus(stream->status());
    if (nghttp2_submit_trailer(library, id, trailers.data(), trailers.size()) != 0) {
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  } else if (sendable == 0) {
    return NGHTTP2_ERR_DEFERRED;
  }
  // The library's own buffers are not wiped, so messages do not pass through them.
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  return static_cast<ssize_t>(sendable);
}

int Session::Callbacks::SendAnswer(nghttp2_session* /*library*/,
                                   nghttp2_frame* frame,
                                   const std::uint8_t* frame_head,
                                   std::size_t size,
                                   nghttp2_data_source* /*source*/,
                                   void* user) {
  Session& session = Of(user);
  Stream* stream = session.Find(frame->hd.stream_id);
  if (stream == nullptr) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  const auto room = session.out_.subspan(session.out_used_);
  // The library may go on after this frame and give Send() a piece in the same call.
  if (room.size() < kFrameHeadBytes + size + kLargestPiece) {
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  std::memcpy(room.data(), frame_head, kFrameHeadBytes);
  stream->Send(room.subspan(kFrameHeadBytes, size));
  session.out_used_ += kFrameHeadBytes + size;
  return 0;
}

}  // namespace credence::h2
