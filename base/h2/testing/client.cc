#include "base/h2/testing/client.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/core/check.h"

namespace credence::h2 {
namespace {

std::string BigEndian(std::uint64_t number, std::size_t bytes) {
  std::string text;
  for (std::size_t i = bytes; i-- > 0;) {
    text += static_cast<char>((number >> (8 * i)) & 0xFFU);
  }
  return text;
}

std::uint8_t* Bytes(const std::string& text) {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

}  // namespace

std::string FrameMessage(std::string_view text, char flag) {
  return std::string(1, flag) + BigEndian(text.size(), 4) + std::string(text);
}

std::string RawFrame(std::uint8_t type,
                     std::uint8_t flags,
                     std::uint32_t stream,
                     std::string_view payload) {
  return BigEndian(payload.size(), 3) + BigEndian(type, 1) + BigEndian(flags, 1) +
         BigEndian(stream, 4) + std::string(payload);
}

std::string RawPreface() {
  return std::string(NGHTTP2_CLIENT_MAGIC) + RawFrame(NGHTTP2_SETTINGS, 0, 0, "");
}

std::vector<std::string> TestClient::Answer::Messages() const {
  std::vector<std::string> messages;
  for (std::size_t at = 0; at + 5 <= body.size();) {
    std::size_t length = 0;
    for (std::size_t i = 1; i < 5; ++i) {
      length = (length << 8U) | static_cast<unsigned char>(body[at + i]);
    }
    if (at + 5 + length > body.size()) {
      break;
    }
    messages.push_back(body.substr(at + 5, length));
    at += 5 + length;
  }
  return messages;
}

std::string TestClient::Answer::Field(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

struct TestClient::Callbacks {
  static TestClient& Of(void* user) { return *static_cast<TestClient*>(user); }

  static int OnHeader(nghttp2_session*,
                      const nghttp2_frame* frame,
                      const std::uint8_t* name,
                      std::size_t name_size,
                      const std::uint8_t* value,
                      std::size_t value_size,
                      std::uint8_t,
                      void* user) {
    Of(user).answers_[frame->hd.stream_id].fields[std::string(name, name + name_size)] =
        std::string(value, value + value_size);
    return 0;
  }

  static int OnData(nghttp2_session*,
                    std::uint8_t,
                    std::int32_t id,
                    const std::uint8_t* bytes,
                    std::size_t size,
                    void* user) {
    Of(user).answers_[id].body.append(bytes, bytes + size);
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    TestClient& client = Of(user);
    if (frame->hd.type == NGHTTP2_HEADERS) {
      ++client.answers_[frame->hd.stream_id].header_blocks;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      client.goaways_.emplace_back(frame->goaway.error_code, frame->goaway.last_stream_id);
    } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
      ++client.pings_answered_;
    }
    return 0;
  }

  static int OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user) {
    Answer& answer = Of(user).answers_[id];
    answer.closed = true;
    answer.error = error;
    return 0;
  }

  static ssize_t ReadUpload(nghttp2_session*,
                            std::int32_t id,
                            std::uint8_t* buffer,
                            std::size_t size,
                            std::uint32_t* flags,
                            nghttp2_data_source*,
                            void* user) {
    Upload& upload = Of(user).uploads_[id];
    const std::size_t count = std::min(size, upload.data.size());
    std::memcpy(buffer, upload.data.data(), count);
    upload.data.erase(0, count);
    if (upload.data.empty() && upload.ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(count);
  }
};

TestClient::TestClient(const std::string& socket_path, Windows windows)
    : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  CREDENCE_CHECK(socket_path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  CREDENCE_CHECK(connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                 0);
  nghttp2_session_callbacks* callbacks = nullptr;
  CREDENCE_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::OnData);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::OnFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::OnClose);
  nghttp2_option* option = nullptr;
  CREDENCE_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, windows == Windows::kNeverUpdated ? 1 : 0);
  nghttp2_option_set_no_http_messaging(option, 1);
  CREDENCE_CHECK(nghttp2_session_client_new2(&session_, callbacks, this, option) == 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  CREDENCE_CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0) == 0);
}

TestClient::~TestClient() {
  nghttp2_session_del(session_);
}

std::int32_t TestClient::Call(const std::string& path,
                              std::string request,
                              Half half,
                              const Fields& more) {
  Fields fields{{":method", "POST"},
                {":scheme", "http"},
                {":path", path},
                {":authority", "localhost"},
                {"content-type", "application/grpc"},
                {"te", "trailers"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return CallWith(fields, std::move(request), half);
}

std::int32_t TestClient::CallWith(const Fields& fields, std::string request, Half half) {
  std::vector<nghttp2_nv> nvs;
  for (const auto& [name, value] : fields) {
    nvs.push_back({Bytes(name), Bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_data_provider upload{};
  upload.read_callback = Callbacks::ReadUpload;
  const bool headers_only = request.empty() && half == Half::kEnded;
  const std::int32_t id = nghttp2_submit_request(
      session_, nullptr, nvs.data(), nvs.size(), headers_only ? nullptr : &upload, nullptr);
  CREDENCE_CHECK(id > 0);
  uploads_[id] = {std::move(request), half == Half::kEnded};
  return id;
}

void TestClient::Send(std::int32_t id, std::string_view data, Half half) {
  Upload& upload = uploads_[id];
  upload.data += data;
  upload.ended = half == Half::kEnded;
  (void)nghttp2_session_resume_data(session_, id);
}

void TestClient::Cancel(std::int32_t id) {
  CREDENCE_CHECK(nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL) == 0);
}

void TestClient::Ping() {
  CREDENCE_CHECK(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr) == 0);
}

void TestClient::SendRaw(std::string_view bytes) {
  raw_ = true;
  outgoing_ += bytes;
}

void TestClient::Pump() {
  if (!socket_.valid() || hung_up_) {
    return;
  }
  PumpOut();
  PumpIn();
}

void TestClient::PumpOut() {
  const std::uint8_t* piece = nullptr;
  for (;;) {
    const auto size = nghttp2_session_mem_send(session_, &piece);
    if (size <= 0) {
      break;
    }
    if (!raw_) {
      outgoing_.append(piece, piece + size);
    }
  }
  while (!outgoing_.empty()) {
    const auto sent =
        send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0) {
      break;
    }
    outgoing_.erase(0, static_cast<std::size_t>(sent));
  }
}

void TestClient::PumpIn() {
  std::array<std::uint8_t, 65536> buffer{};
  for (;;) {
    const auto count = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
      hung_up_ = true;
    }
    if (count <= 0) {
      return;
    }
    (void)nghttp2_session_mem_recv(session_, buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace credence::h2
