package httpapi

import (
	"context"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

type artifactsOutput struct{ Body ArtifactList }

func (s *Server) listArtifacts(ctx context.Context, in *jobInput) (*artifactsOutput, error) {
	files, err := s.opts.Service.Artifacts(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &artifactsOutput{ArtifactList{Artifacts: make([]Artifact, len(files))}}
	for i, f := range files {
		out.Body.Artifacts[i] = Artifact{Name: f.Name, Attempt: f.Attempt, Size: f.Size, ModifiedAt: f.ModTime, Type: f.Type, Image: f.Image}
	}
	return out, nil
}

// plainFile is the type of what is no picture.
const plainFile = "application/octet-stream"

// getArtifact sends a file that a job wrote. Whatever it holds, it is nothing
// that runs in a browser: it is an attachment of a type that means nothing, or a
// picture for an img, in a sandbox where somebody opens it all the same.
func (s *Server) getArtifact(w http.ResponseWriter, r *http.Request) {
	content, file, err := s.opts.Service.OpenArtifact(r.Context(), r.PathValue("id"), r.PathValue("name"))
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "path"))
		return
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", file.Type)
	h.Set("Content-Disposition", attachment(file.Name[strings.LastIndexByte(file.Name, '/')+1:]))
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // where the writer has deadlines
	http.ServeContent(&download{ResponseWriter: w, control: control}, r, "", file.ModTime, content)
}

// attachment is the header that lets a browser save under a name, and never show.
func attachment(name string) string {
	if header := mime.FormatMediaType("attachment", map[string]string{"filename": name}); header != "" {
		return header
	}
	return "attachment"
}

// download is an answer that may take long: only a client that takes nothing for
// a while is dropped. A refused range gets the form that all refusals have.
type download struct {
	http.ResponseWriter
	control *http.ResponseController
	refused bool
}

func (d *download) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		d.ResponseWriter.WriteHeader(status)
		return
	}
	d.refused = true
	d.Header().Del("Content-Disposition")
	d.Header().Del("Content-Length")
	writeProblem(d.ResponseWriter, newProblem(status, distro.CodeInvalid, "Range: the file has no such part"))
}

func (d *download) Write(p []byte) (int, error) {
	if d.refused { // the text that stands for the refusal elsewhere
		return len(p), nil
	}
	_ = d.control.SetWriteDeadline(time.Now().Add(slowClient)) // where the writer has deadlines
	return d.ResponseWriter.Write(p)
}
