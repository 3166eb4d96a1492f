#include "base/h2/session.h"

#include <array>
#include <cstring>
#include <utility>

#include "base/core/check.h"
#include "base/h2/answer_fields.h"
#include "base/h2/session_callbacks.h"

namespace credence::h2 {
namespace {

/// Streams share the connection's window: one that is not read must not hold up the others.
constexpr std::int32_t kConnectionWindow = 1 << 20;
constexpr std::uint32_t kStreamWindow = 65535;

constexpr std::size_t kMostPathInAnswer = 128;

struct DeleteOption {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

std::unique_ptr<nghttp2_option, DeleteOption> MakeOptions() {
  nghttp2_option* made = nullptr;
  CREDENCE_CHECK(nghttp2_option_new(&made) == 0);
  std::unique_ptr<nghttp2_option, DeleteOption> option(made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  // RequestHead checks what matters to gRPC; the library's own check refuses the :authority of some
  // gRPC clients.
  nghttp2_option_set_no_http_messaging(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_max_outbound_ack(made, 100);
  // A header list within our limit fits one frame; one more, so that what is somewhat over it is
  // refused call by call.
  nghttp2_option_set_max_continuations(made, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(made, 512);
  return option;
}

}  // namespace

Session::Session(ServerContext& server, Peer peer, std::function<void()> want_write)
    : server_(server),
      peer_(std::move(peer)),
      want_write_(std::move(want_write)),
      flood_guard_(server.clock.SteadyNow()),
      now_(server.clock.SteadyNow()) {
  static const auto options = MakeOptions();
  nghttp2_session* made = nullptr;
  CREDENCE_CHECK(nghttp2_session_server_new2(&made, Callbacks::All(), this, options.get()) == 0);
  session_.reset(made);
  const std::array<nghttp2_settings_entry, 4> settings{{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server.options.max_streams_per_connection},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(server.options.max_header_bytes)},
      // The priority tree keeps memory for streams that do not exist.
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  CREDENCE_CHECK(
      nghttp2_submit_settings(made, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  CREDENCE_CHECK(
      nghttp2_session_set_local_window_size(made, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) == 0);
}

Session::~Session() {
  CREDENCE_CHECK(closed_);
}

bool Session::Receive(std::span<const std::uint8_t> bytes) {
  now_ = server_.clock.SteadyNow();
  useful_ = false;
  bool sound = nghttp2_session_mem_recv(session_.get(), bytes.data(), bytes.size()) >= 0;
  if (sound && !useful_ && !flood_guard_.OnUselessBytes(bytes.size(), now_)) {
    (void)nghttp2_session_terminate_session(session_.get(), NGHTTP2_ENHANCE_YOUR_CALM);
    sound = false;
  }
  started_call_ = !started_.empty();
  for (auto& stream : std::exchange(started_, {})) {
    server_.start_call(std::move(stream));
  }
  CancelEndedHandlers();
  if (!sound) {
    CountAbuse();
  }
  return sound;
}

void Session::CountAbuse() {
  if (!std::exchange(abuse_counted_, true)) {
    ++server_.stats.floods_closed;
  }
}

std::optional<std::size_t> Session::Send(std::span<std::uint8_t> out) {
  out_ = out;
  out_used_ = 0;
  bool broken = false;
  CREDENCE_CHECK(out.size() >= kLeastSendBuffer);
  while (out_used_ + kLargestPiece <= out.size()) {
    const std::uint8_t* piece = nullptr;
    const auto size = nghttp2_session_mem_send(session_.get(), &piece);
    if (size <= 0) {
      broken = size < 0;
      break;
    }
    CREDENCE_CHECK(static_cast<std::size_t>(size) <= out.size() - out_used_);
    std::memcpy(out.data() + out_used_, piece, static_cast<std::size_t>(size));
    out_used_ += static_cast<std::size_t>(size);
  }
  out_ = {};
  CancelEndedHandlers();
  if (broken) {
    return std::nullopt;
  }
  return out_used_;
}

bool Session::Done() const {
  return nghttp2_session_want_read(session_.get()) == 0 &&
         nghttp2_session_want_write(session_.get()) == 0;
}

std::size_t Session::Backlog() const {
  return nghttp2_session_get_outbound_queue_size(session_.get());
}

void Session::CancelEndedHandlers() {
  for (const auto& stream : std::exchange(ended_, {})) {
    stream->CancelHandler();
  }
}

void Session::AnnounceEnd() {
  (void)nghttp2_submit_shutdown_notice(session_.get());
  want_write_();
}

void Session::RefuseNewCalls() {
  const std::int32_t last = nghttp2_session_get_last_proc_stream_id(session_.get());
  (void)nghttp2_submit_goaway(
      session_.get(), NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  want_write_();
}

void Session::FinishCalls(Route::Kind kind, const Status& status) {
  // Cancelling runs foreign code: work on a copy.
  std::vector<std::shared_ptr<Stream>> calls;
  for (const auto& [id, stream] : streams_) {
    if (stream->route().kind == kind) {
      calls.push_back(stream);
    }
  }
  for (const auto& call : calls) {
    call->Finish(status);
    call->CancelHandler();
  }
}

void Session::Close() {
  closed_ = true;
  for (const auto& [id, stream] : std::exchange(streams_, {})) {
    stream->Detach();
    ended_.push_back(stream);
  }
  CancelEndedHandlers();
}

Stream* Session::Find(std::int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Session::OnRequest(std::int32_t id, Half request) {
  const RequestHead head = *std::exchange(head_, std::nullopt);
  if (const auto refusal = head.Check()) {
    Refuse(id, *refusal);
    return;
  }
  const auto route = server_.routes.find(head.path());
  if (route == server_.routes.end()) {
    // Cut: the library keeps a copy of the answer, and nobody pays for that.
    const std::string method = head.path().substr(0, kMostPathInAnswer);
    Refuse(id, {200, {Code::kUnimplemented, "unknown method " + method, ""}});
    return;
  }
  Accept(id, head, route->second, request);
}

void Session::Accept(std::int32_t id, RequestHead head, const Route& route, Half request) {
  const Account::Amount cost{.calls = 1, .bytes = head.size()};
  Holding holding(peer_.account);
  if (!holding.Take(cost)) {
    ++server_.stats.calls_refused;
    if (peer_.account->HasRoomFor(cost)) {
      Refuse(id, {200, {Code::kUnavailable, "too many calls of this user are in progress", ""}});
    } else {
      (void)nghttp2_submit_rst_stream(
          session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    }
    return;
  }
  const auto stream = std::make_shared<Stream>(
      *this,
      server_,
      Stream::Origin{id, peer_.connection, peer_.party, peer_.caller, peer_.tls_peer},
      std::move(head),
      route,
      std::move(holding));
  if (request == Half::kEnded) {
    stream->OnRequestEnd();
  }
  streams_.emplace(id, stream);
  started_.push_back(stream);
}

void Session::Refuse(std::int32_t id, const Refusal& refusal) {
  AnswerFields fields;
  fields.AddHead(refusal.http_status);
  if (refusal.http_status == 200) {
    fields.AddStatus(refusal.status);
  }
  (void)nghttp2_submit_response(session_.get(), id, fields.data(), fields.size(), nullptr);
}

void Session::OnStreamClosed(std::int32_t id) {
  const auto found = streams_.find(id);
  if (found != streams_.end()) {
    found->second->Detach();
    ended_.push_back(std::move(found->second));
    streams_.erase(found);
  }
}

void Session::StartAnswer(std::int32_t id) {
  AnswerFields fields;
  fields.AddHead(200);
  nghttp2_data_provider answer{};
  answer.read_callback = Callbacks::ReadAnswer;
  (void)nghttp2_submit_response(session_.get(), id, fields.data(), fields.size(), &answer);
  want_write_();
}

void Session::AnswerTrailersOnly(std::int32_t id, const Status& status) {
  Refuse(id, {200, status});
  want_write_();
}

void Session::Resume(std::int32_t id) {
  // Fails if the answer is not waiting for data, which is fine.
  (void)nghttp2_session_resume_data(session_.get(), id);
  want_write_();
}

void Session::Reset(std::int32_t id) {
  (void)nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  want_write_();
}

void Session::Consume(std::int32_t id, std::size_t bytes) {
  (void)nghttp2_session_consume(session_.get(), id, bytes);
  want_write_();
}

void Session::ConsumeClosed(std::size_t bytes) {
  (void)nghttp2_session_consume_connection(session_.get(), bytes);
}

}  // namespace credence::h2
