package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
)

// Error is an error as OpenAI's API writes it.
type Error struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`

	Status     int `json:"-"` // of HTTP
	retryAfter int
}

func (e *Error) Error() string { return e.Message }

// errorBody is what is sent.
type errorBody struct {
	Error *Error `json:"error"`
}

const invalidRequest = "invalid_request_error"

func refuse(status int, kind, param, code, format string, args ...any) *Error {
	e := &Error{Message: fmt.Sprintf(format, args...), Type: kind, Status: status}
	if param != "" {
		e.Param = &param
	}
	if code != "" {
		e.Code = &code
	}
	return e
}

// badParam refuses the value of a parameter.
func badParam(param, format string, args ...any) *Error {
	return refuse(http.StatusBadRequest, invalidRequest, param, "invalid_value", format, args...)
}

// asError is err as the API writes it.
func asError(err error) *Error {
	var (
		own    *Error
		full   *runtime.ContextError
		busy   *busyError
		raised *chat.RaisedError
		large  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &full):
		return refuse(http.StatusBadRequest, invalidRequest, "messages", "context_length_exceeded",
			"This model's maximum context length is %d tokens. However, your prompt has %d tokens.", full.Context, full.Len+full.Add)
	case errors.As(err, &busy):
		e := refuse(http.StatusTooManyRequests, "rate_limit_error", "", "queue_full", "The server is busy: %v", busy)
		e.retryAfter = busy.after
		return e
	case errors.As(err, &raised):
		return badParam("messages", "The model's chat template refuses the conversation: %s", raised.Msg)
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, invalidRequest, "", "request_too_large", "The request is larger than %d bytes.", large.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(http.StatusGatewayTimeout, "server_error", "", "timeout", "The request took too long.")
	case errors.Is(err, context.Canceled):
		return refuse(http.StatusServiceUnavailable, "server_error", "", "cancelled", "The request was cancelled.")
	}
	return refuse(http.StatusInternalServerError, "server_error", "", "", "%v", err)
}

// write sends the error as a response of its own.
func (e *Error) write(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	json.NewEncoder(w).Encode(errorBody{e})
}
