package hub

import (
	"fmt"
	"time"
)

// AccessError says that the Hub refuses access: no token, a wrong one, or a licence not accepted.
type AccessError struct {
	Repo   Repo
	What   string // the file, or empty
	Status int
	Gated  bool   // the licence must be accepted first
	Token  bool   // a token was sent
	Page   string // the repository's page
	Msg    string // the Hub's own words; may be empty
}

func (e *AccessError) Error() string {
	what := "no access"
	switch {
	case e.Gated:
		what = "the repository is gated"
	case !e.Token:
		what = "no such repository, or it is private"
	}
	return fmt.Sprintf("hub: %s: %s (HTTP %d%s)", at(e.Repo, e.What), what, e.Status, note(e.Msg))
}

// Hint is advice for the user.
func (e *AccessError) Hint() string {
	switch {
	case e.Gated:
		return "accept the licence on " + e.Page + " and set HF_TOKEN to a token of that account"
	case e.Token:
		return "the token (HF_TOKEN, or the file that `hf auth login` writes) is not valid or has no right to do this with the repository"
	}
	return "check the spelling; for a private repository set HF_TOKEN"
}

// NotFoundError says that a repository, a revision or a file does not exist.
type NotFoundError struct {
	Repo Repo
	What string // the file, or empty
	Msg  string // the Hub's own words; may be empty
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("hub: %s: not found (HTTP 404%s)", at(e.Repo, e.What), note(e.Msg))
}

// Hint is advice for the user.
func (e *NotFoundError) Hint() string {
	return "check OWNER/NAME and the revision on the Hub; HF_ENDPOINT names another Hub"
}

// UnavailableError says that the Hub did not answer as it should; the same command may work later.
type UnavailableError struct {
	Repo  Repo
	What  string // the file, or empty
	Tries int
	Wait  time.Duration // how long the Hub asks to wait; 0: it does not say
	Err   error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("hub: %s: no answer after %d tries: %v", at(e.Repo, e.What), e.Tries, e.Err)
}

// Unwrap is the last try's error.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint is advice for the user.
func (e *UnavailableError) Hint() string {
	if e.Wait > 0 {
		return fmt.Sprintf("the Hub asks to wait %d seconds; a token in HF_TOKEN raises its limits", int(e.Wait.Seconds()))
	}
	return "run the command again; HF_ENDPOINT names a mirror"
}

// OfflineError says that HF_HUB_OFFLINE forbids the network and the cache does not hold the repository, or an address.
type OfflineError struct {
	Repo    Repo
	Address string // instead of a repository
	Cache   string // where it was looked for
}

func (e *OfflineError) Error() string {
	if e.Address != "" {
		return fmt.Sprintf("hub: %s: HF_HUB_OFFLINE is set", e.Address)
	}
	return fmt.Sprintf("hub: %s: HF_HUB_OFFLINE is set and there is no snapshot in %s", e.Repo, e.Cache)
}

// Hint is advice for the user.
func (e *OfflineError) Hint() string {
	return "unset HF_HUB_OFFLINE, or download it while online"
}

// ConflictError says that somebody else changed the repository meanwhile.
type ConflictError struct {
	Repo Repo
	Msg  string // the Hub's own words; may be empty
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("hub: %s: the repository was changed meanwhile%s", e.Repo.ID(), note(e.Msg))
}

// Hint is advice for the user.
func (e *ConflictError) Hint() string {
	return "look at its new commits; the same command then goes on and sends nothing twice"
}

// CorruptError says that bytes are not those that their hash names.
type CorruptError struct {
	Repo Repo
	What string // the file
	Msg  string
}

func (e *CorruptError) Error() string { return fmt.Sprintf("hub: %s: %s", at(e.Repo, e.What), e.Msg) }

// LockedError says that another process has been at a file for long, or publishes the same folder.
type LockedError struct{ What string }

func (e *LockedError) Error() string { return "hub: " + e.What + ": another process is at work on it" }

// Hint is advice for the user.
func (e *LockedError) Hint() string { return "run the command again when the other one is done" }

// expiredError says that a signed address is no longer good; asking for a new one helps.
type expiredError struct{ status string }

func (e *expiredError) Error() string { return "HTTP " + e.status }

// at names a repository or one of its files.
func at(r Repo, file string) string {
	if r == (Repo{}) { // an address
		return file
	}
	if file == "" {
		return r.String()
	}
	return r.String() + ": " + file
}

func note(msg string) string {
	if msg == "" {
		return ""
	}
	return ": " + msg
}
