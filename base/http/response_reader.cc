#include "base/http/response_reader.h"

#include <cstring>
#include <limits>

#include <boost/algorithm/string/predicate.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional/optional.hpp>
#include <fmt/format.h>

#include "base/http/secret_buffer.h"

namespace credence {
namespace {

namespace http = boost::beast::http;

// The head has to fit in one piece; what remains lets the body flow in larger reads.
constexpr std::size_t kBufferBytes = 2 * kMaxResponseHeadBytes;
constexpr int kMaxInterimAnswers = 8;
// Beast 1.81 takes "0\r\n" of an answer without chunks, and then stops the program (by an
// assertion, in builds that have them) when it is shown one more byte. Nothing that began is
// complete with less than this.
constexpr std::size_t kLeastPiece = 5;

/// A Beast body that collects into wiped memory.
struct SecretBody {
  using value_type = SecretBuffer;

  class reader {
   public:
    template <bool kIsRequest, class Fields>
    reader(http::header<kIsRequest, Fields>& /*head*/, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>& /*length*/, boost::beast::error_code& error) {
      error = {};
    }

    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::beast::error_code& error) {
      std::size_t taken = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers);
           ++it) {
        const boost::asio::const_buffer piece = *it;
        body_.Append({static_cast<const char*>(piece.data()), piece.size()});
        taken += piece.size();
      }
      error = {};
      return taken;
    }

    void finish(boost::beast::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

Error ReadError(const boost::beast::error_code& error) {
  if (error == http::error::header_limit || error == http::error::body_limit ||
      error == http::error::buffer_overflow) {
    return Error(Code::kOutOfRange, "the answer is too large");
  }
  return Error(Code::kDataLoss, fmt::format("the answer is not valid HTTP: {}", error.message()));
}

}  // namespace

std::string_view HttpResponse::FindHeader(std::string_view name) const {
  for (const auto& [header, value] : headers) {
    if (boost::algorithm::iequals(header, name)) {
      return value;
    }
  }
  return {};
}

struct ResponseReader::Parser {
  http::response_parser<SecretBody> beast;
};

ResponseReader::ResponseReader(std::size_t max_body_bytes)
    : max_body_bytes_(max_body_bytes), buffer_(kBufferBytes) {
  Restart();
}

ResponseReader::~ResponseReader() = default;

void ResponseReader::Restart() {
  parser_ = std::make_unique<Parser>();
  parser_->beast.header_limit(static_cast<std::uint32_t>(kMaxResponseHeadBytes));
  parser_->beast.body_limit(max_body_bytes_);
  parser_->beast.eager(true);
}

std::span<std::uint8_t> ResponseReader::Space() {
  return {buffer_.data() + used_, buffer_.size() - used_};
}

Result<bool> ResponseReader::Commit(std::size_t size) {
  used_ += size;
  received_ += size;
  // Chunk extensions and trailers are not counted as body, so the whole is bounded as well.
  if (received_ > 2 * max_body_bytes_ + 4 * kBufferBytes) {
    return Error(Code::kOutOfRange, "the answer is too large");
  }
  if (incomplete_ && used_ < kLeastPiece) {
    return false;
  }
  incomplete_ = false;
  while (used_ > 0 && !parser_->beast.is_done()) {
    boost::beast::error_code error;
    const std::size_t consumed =
        parser_->beast.put(boost::asio::const_buffer(buffer_.data(), used_), error);
    used_ -= consumed;
    std::memmove(buffer_.data(), buffer_.data() + consumed, used_);
    if (error == http::error::need_more) {
      if (used_ == buffer_.size()) {
        return Error(Code::kOutOfRange, "the answer is too large");
      }
      incomplete_ = used_ > 0;
      break;
    }
    if (error) {
      return ReadError(error);
    }
    if (parser_->beast.is_done() && parser_->beast.get().result_int() / 100 == 1) {
      // 101 would change the protocol, and nothing here asks for that.
      if (parser_->beast.get().result_int() == 101 || ++interim_answers_ > kMaxInterimAnswers) {
        return Error(Code::kDataLoss, "the server sent interim answers that make no sense");
      }
      Restart();
    }
  }
  return parser_->beast.is_done();
}

Result<void> ResponseReader::Eof() {
  if (received_ == 0) {
    return Error(Code::kUnavailable, "the server closed the connection without an answer");
  }
  if (!parser_->beast.got_some()) {
    return Error(Code::kDataLoss, "the answer stops after an interim one");
  }
  boost::beast::error_code error;
  parser_->beast.put_eof(error);
  if (error || !parser_->beast.is_done()) {
    return Error(Code::kDataLoss, "the answer stops in the middle");
  }
  return Ok();
}

HttpResponse ResponseReader::Take() {
  auto message = parser_->beast.release();
  HttpResponse response;
  response.status = static_cast<int>(message.result_int());
  for (const auto& field : message.base()) {
    response.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  response.body = message.body().Take();
  return response;
}

}  // namespace credence
