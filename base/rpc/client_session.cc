#include "base/rpc/client_session.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/core/check.h"
#include "base/wire/grpc_text.h"

namespace credence {

/// What nghttp2 tells a session; `user` is the ClientSession. None of them runs a caller's code.
/// Source: nghttp2.h, "Callbacks".
struct ClientSession::Callbacks {
  static const nghttp2_session_callbacks* All();

  static ClientSession& Of(void* user) { return *static_cast<ClientSession*>(user); }
  static bool EndsStream(const nghttp2_frame_hd& head) {
    return (head.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  }

  static int OnBeginFrame(nghttp2_session* library, const nghttp2_frame_hd* head, void* user) {
    ClientSession& session = Of(user);
    session.useful_ = true;
    if (session.flood_guard_.OnFrame(
            head->type, head->flags, static_cast<std::uint32_t>(head->length), session.now_)) {
      return 0;
    }
    session.flooded_ = true;
    (void)nghttp2_session_terminate_session(library, NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int OnBeginHeaders(nghttp2_session* /*library*/, const nghttp2_frame* frame, void* user) {
    if (const auto stream = Of(user).Find(frame->hd.stream_id)) {
      stream->head().Begin();
    }
    return 0;
  }

  static int OnHeader(nghttp2_session* /*library*/,
                      const nghttp2_frame* frame,
                      nghttp2_rcbuf* name,
                      nghttp2_rcbuf* value,
                      std::uint8_t /*flags*/,
                      void* user) {
    ClientSession& session = Of(user);
    session.useful_ = true;
    const auto stream = session.Find(frame->hd.stream_id);
    if (!stream || stream->head().Add(Text(name), Text(value))) {
      return 0;
    }
    stream->End(RpcVerdict::Failed(
        Code::kResourceExhausted,
        fmt::format("the header list of the answer is over {} bytes", AnswerHead::kMaxBlockBytes)));
    session.Forget(frame->hd.stream_id);
    // The library resets the stream.
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int OnFrame(nghttp2_session* /*library*/, const nghttp2_frame* frame, void* user) {
    ClientSession& session = Of(user);
    const nghttp2_frame_hd& head = frame->hd;
    if (head.type == NGHTTP2_SETTINGS) {
      session.opened_ = true;
    } else if (head.type == NGHTTP2_GOAWAY) {
      session.leaving_ = true;
      session.why_done_ = fmt::format("the server ends the connection: {}",
                                      nghttp2_http2_strerror(frame->goaway.error_code));
    } else if (head.type == NGHTTP2_HEADERS) {
      if (const auto stream = session.Find(head.stream_id)) {
        if (auto verdict = stream->head().End(EndsStream(head))) {
          session.Settle(head.stream_id, *std::move(verdict), EndsStream(head));
        }
      }
    } else if (head.type == NGHTTP2_DATA && EndsStream(head) && session.Find(head.stream_id)) {
      session.Settle(
          head.stream_id,
          RpcVerdict::Failed(Code::kUnknown, "the server ended the call without a status"),
          true);
    }
    return 0;
  }

  static int OnData(nghttp2_session* library,
                    std::uint8_t /*flags*/,
                    std::int32_t id,
                    const std::uint8_t* bytes,
                    std::size_t size,
                    void* user) {
    ClientSession& session = Of(user);
    session.useful_ = true;
    // One call that is not read must not hold up the others: only its own window bounds it.
    (void)nghttp2_session_consume_connection(library, size);
    const auto stream = session.Find(id);
    if (!stream) {
      (void)nghttp2_session_consume_stream(library, id, size);
      return 0;
    }
    const void* text = bytes;
    stream->OnData({static_cast<const char*>(text), size});
    (void)nghttp2_session_consume_stream(library, id, stream->TakeReleased());
    if (stream->verdict()) {
      session.Forget(id);
      (void)nghttp2_submit_rst_stream(library, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    return 0;
  }

  static int OnFrameSent(nghttp2_session* /*library*/, const nghttp2_frame* frame, void* user) {
    ClientSession& session = Of(user);
    const nghttp2_frame_hd& head = frame->hd;
    if (head.type == NGHTTP2_HEADERS || head.type == NGHTTP2_DATA) {
      session.flood_guard_.OnCallFrameSent();
    }
    if (head.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
      session.leaving_ = true;
      session.why_done_ = session.flooded_
                              ? "the server floods us with frames"
                              : fmt::format("the server breaks HTTP/2: {}",
                                            nghttp2_http2_strerror(frame->goaway.error_code));
    }
    return 0;
  }

  static int OnStreamClose(nghttp2_session* /*library*/,
                           std::int32_t id,
                           std::uint32_t error,
                           void* user) {
    ClientSession& session = Of(user);
    if (const auto stream = session.Find(id)) {
      stream->End(VerdictOfReset(error));
      session.Forget(id);
    }
    return 0;
  }

  static ssize_t ReadRequest(nghttp2_session* /*library*/,
                             std::int32_t id,
                             std::uint8_t* buffer,
                             std::size_t size,
                             std::uint32_t* flags,
                             nghttp2_data_source* /*source*/,
                             void* user) {
    const auto stream = Of(user).Find(id);
    if (!stream) {
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    const std::size_t count = stream->Fill({buffer, size});
    if (stream->RequestsEnded()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(count);
  }

  static std::string_view Text(nghttp2_rcbuf* buffer) {
    const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
    const void* text = bytes.base;
    return {static_cast<const char*>(text), bytes.len};
  }
};

namespace {

constexpr std::uint32_t kStreamWindow = 1 << 20;
constexpr std::int32_t kConnectionWindow = 4 << 20;

struct DeleteOption {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
struct DeleteCallbacks {
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
};

std::unique_ptr<nghttp2_option, DeleteOption> MakeClientOptions() {
  nghttp2_option* made = nullptr;
  CREDENCE_CHECK(nghttp2_option_new(&made) == 0);
  std::unique_ptr<nghttp2_option, DeleteOption> option(made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, 100);
  nghttp2_option_set_max_continuations(made, 2);
  return option;
}

nghttp2_nv Field(std::string_view name, std::string_view value) {
  // The library takes non-const pointers and does not write through them.
  auto* name_bytes = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
  auto* value_bytes = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
  return nghttp2_nv{name_bytes, value_bytes, name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

const nghttp2_session_callbacks* ClientSession::Callbacks::All() {
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
    return std::unique_ptr<nghttp2_session_callbacks, DeleteCallbacks>(made);
  }();
  return callbacks.get();
}

ClientSession::ClientSession(std::string scheme, std::string authority)
    : scheme_(std::move(scheme)),
      authority_(std::move(authority)),
      flood_guard_(clock_.SteadyNow()),
      now_(clock_.SteadyNow()) {
  static const auto options = MakeClientOptions();
  nghttp2_session* made = nullptr;
  CREDENCE_CHECK(nghttp2_session_client_new2(&made, Callbacks::All(), this, options.get()) == 0);
  session_.reset(made);
  const std::array<nghttp2_settings_entry, 3> settings{{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, AnswerHead::kMaxBlockBytes},
  }};
  CREDENCE_CHECK(
      nghttp2_submit_settings(made, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  CREDENCE_CHECK(
      nghttp2_session_set_local_window_size(made, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) == 0);
}

ClientSession::~ClientSession() {
  Fail(Error(Code::kUnavailable, "the connection is closed"));
}

Result<void> ClientSession::Receive(std::span<const std::uint8_t> bytes) {
  now_ = clock_.SteadyNow();
  useful_ = false;
  const auto taken = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size());
  if (flooded_ || (taken >= 0 && !useful_ && !flood_guard_.OnUselessBytes(bytes.size(), now_))) {
    return Error(Code::kUnavailable, "the server floods us with frames");
  }
  if (taken < 0) {
    return Error(
        Code::kUnavailable,
        fmt::format("the server breaks HTTP/2: {}", nghttp2_strerror(static_cast<int>(taken))));
  }
  return Ok();
}

Result<void> ClientSession::Send(std::string& out, std::size_t enough) {
  while (out.size() < enough) {
    const std::uint8_t* piece = nullptr;
    const auto size = nghttp2_session_mem_send(session_.get(), &piece);
    if (size < 0) {
      return Error(Code::kUnavailable, nghttp2_strerror(static_cast<int>(size)));
    }
    if (size == 0) {
      break;
    }
    const void* text = piece;
    out.append(static_cast<const char*>(text), static_cast<std::size_t>(size));
  }
  return Ok();
}

bool ClientSession::Done() const {
  return nghttp2_session_want_read(session_.get()) == 0 &&
         nghttp2_session_want_write(session_.get()) == 0;
}

bool ClientSession::TakesCalls() const {
  return !leaving_ && nghttp2_session_check_request_allowed(session_.get()) != 0;
}

Result<std::int32_t> ClientSession::Open(const std::string& path,
                                         std::chrono::nanoseconds timeout,
                                         const RpcMetadata& metadata,
                                         std::shared_ptr<ClientStream> stream) {
  const std::string timeout_text = h2::FormatGrpcTimeout(timeout);
  std::vector<nghttp2_nv> fields{
      Field(":method", "POST"),
      Field(":scheme", scheme_),
      Field(":path", path),
      Field(":authority", authority_),
      Field("te", "trailers"),
      Field("content-type", "application/grpc"),
      Field("user-agent", "credence-agent"),
      Field("grpc-timeout", timeout_text),
  };
  for (const auto& [name, value] : metadata) {
    fields.push_back(Field(name, value));
  }
  nghttp2_data_provider requests{};
  requests.read_callback = Callbacks::ReadRequest;
  const std::int32_t id = nghttp2_submit_request(
      session_.get(), nullptr, fields.data(), fields.size(), &requests, nullptr);
  if (id < 0) {
    return Error(Code::kUnavailable, fmt::format("no call can begin: {}", nghttp2_strerror(id)));
  }
  streams_.emplace(id, std::move(stream));
  return id;
}

std::shared_ptr<ClientStream> ClientSession::Find(std::int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

void ClientSession::Settle(std::int32_t id, RpcVerdict verdict, bool server_ended) {
  Find(id)->End(std::move(verdict));
  Forget(id);
  if (!server_ended || nghttp2_session_get_stream_local_close(session_.get(), id) == 0) {
    (void)nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
}

void ClientSession::Forget(std::int32_t id) {
  streams_.erase(id);
}

void ClientSession::Resume(std::int32_t id) {
  // Fails if the request is not waiting for data, which is fine.
  (void)nghttp2_session_resume_data(session_.get(), id);
}

void ClientSession::OnTaken(std::int32_t id) {
  flood_guard_.OnMessageTaken();
  Release(id);
}

void ClientSession::Release(std::int32_t id) {
  if (const auto stream = Find(id)) {
    (void)nghttp2_session_consume_stream(session_.get(), id, stream->TakeReleased());
  }
}

void ClientSession::Cancel(std::int32_t id) {
  if (!Find(id)) {
    return;
  }
  Forget(id);
  // A call that the server has not let begin stays queued in nghttp2 until it does.
  constexpr int kMostStranded = 1000;
  if (nghttp2_session_find_stream(session_.get(), id) == nullptr && ++stranded_ > kMostStranded) {
    leaving_ = true;
    why_done_ = "the server lets no call begin";
  }
  (void)nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

void ClientSession::Fail(const Error& error) {
  for (const auto& [id, stream] : std::exchange(streams_, {})) {
    stream->End(RpcVerdict{error, ""});
  }
}

}  // namespace credence
