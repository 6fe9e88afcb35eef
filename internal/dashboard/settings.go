package dashboard

import (
	"net/http"
)

// settingsView is the page of what the reader prefers, and of what is installed.
type settingsView struct {
	Zones      []zoneChoice
	Languages  []languageChoice
	About      About
	Version    string
	Started    moment
	Up         string
	Operations []operationView
	Suspended  bool
	Scripts    bool
}

type zoneChoice struct {
	Value, Label string
	On           bool
}

type languageChoice struct {
	Tag, Name string
	On        bool
}

// zones are offered beside the server's own.
func zones() []string {
	return []string{
		"America/Sao_Paulo", "America/Manaus", "America/Cuiaba", "America/Rio_Branco", "America/Noronha", "America/Bahia",
		"America/Fortaleza", "Europe/Lisbon", "Europe/London", "America/New_York", "UTC",
	}
}

const shownOperations = 10

func (s *Server) settings(r *request) error {
	view := settingsView{
		About: s.opts.About, Version: s.opts.Version, Started: r.moment(s.opts.About.Started),
		Up: r.lasted(r.now.Sub(s.opts.About.Started)), Scripts: s.assets.address("app.js") != "",
	}
	view.Zones = append(view.Zones, zoneChoice{"", r.T("settings.zone.server", s.opts.Zone.String()), r.prefers.Zone == ""})
	for _, name := range zones() {
		view.Zones = append(view.Zones, zoneChoice{name, name, r.prefers.Zone == name})
	}
	for _, l := range s.languages {
		view.Languages = append(view.Languages, languageChoice{l.tag, l.T("settings.language.self"), l == r.language})
	}
	if s.full() {
		list, err := s.opts.Service.Operations(r.Context(), shownOperations)
		if err != nil {
			return err
		}
		for i := range list {
			view.Operations = append(view.Operations, r.viewOperation(&list[i]))
		}
	}
	return s.show(r, http.StatusOK, "settings", "nav.settings", view, live("operations"))
}
