// Command use drives a server through the client that was generated from its
// OpenAPI document. That it compiles says that the types are those it names.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"example.invalid/openapi/client"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server, token string) error {
	api, err := client.NewClientWithResponses(server, client.WithRequestEditorFn(bearer(token)))
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *client.ClientWithResponses) error{enqueue, original, lists, problems} {
		if err := step(ctx, api); err != nil {
			return err
		}
	}
	stranger, err := client.NewClientWithResponses(server)
	if err != nil {
		return err
	}
	refused, err := stranger.GetJobsWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	if p := refused.ApplicationproblemJSON401; p == nil || p.Code != "unauthorized" {
		return fmt.Errorf("without a token: %s", refused.Body)
	}
	fmt.Println("refused without a token")
	return nil
}

func bearer(token string) client.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// enqueue creates a job and waits for its result.
func enqueue(ctx context.Context, api *client.ClientWithResponses) error {
	kwargs := map[string]any{"b": 4}
	args := []any{3}
	body := client.NewJob{Function: "sums.add", Args: &args, Kwargs: &kwargs, Id: new("generated-1"), Retries: new(int64(0)), Timeout: &client.NewJob_Timeout{}}
	if err := body.Timeout.FromNewJobTimeout1(90); err != nil {
		return err
	}
	created, err := api.PostJobsWithResponse(ctx, &client.PostJobsParams{IdempotencyKey: new("generated")}, body)
	if err != nil {
		return err
	}
	if created.JSON201 == nil || created.JSON201.Id != "generated-1" || *created.JSON201.TimeoutSeconds != 90 {
		return fmt.Errorf("create: %s %s", created.Status(), created.Body)
	}
	got, err := api.GetJobsIdWithResponse(ctx, created.JSON201.Id, &client.GetJobsIdParams{Wait: new("60s")})
	if err != nil {
		return err
	}
	job := got.JSON200
	if job == nil || job.Status != "finished" || job.Result == nil || job.Result.Value != 7.0 || !job.EndedAt.After(job.CreatedAt) {
		return fmt.Errorf("get: %s %s", got.Status(), got.Body)
	}
	log, err := api.GetJobsIdLogWithResponse(ctx, job.Id, nil)
	if err != nil {
		return err
	}
	if log.JSON200 == nil || len(log.JSON200.Lines) == 0 {
		return fmt.Errorf("log: %s %s", log.Status(), log.Body)
	}
	fmt.Println("job", job.Id, job.Status, job.Result.Value)
	return nil
}

// original sends a request of the service that was replaced.
func original(ctx context.Context, api *client.ClientWithResponses) error {
	queued, err := api.PostSchedulerQueueTaskWithResponse(ctx, nil, client.NewTask{Module: "sums", Function: "hello", Queue: "default"})
	if err != nil {
		return err
	}
	if queued.JSON201 == nil || queued.JSON201.Task != "sums.hello" {
		return fmt.Errorf("queue-task: %s %s", queued.Status(), queued.Body)
	}
	fmt.Println(queued.JSON201.Message)
	return nil
}

func lists(ctx context.Context, api *client.ClientWithResponses) error {
	jobs, err := api.GetJobsWithResponse(ctx, &client.GetJobsParams{Limit: new(int64(1))})
	if err != nil {
		return err
	}
	if jobs.JSON200 == nil || len(jobs.JSON200.Jobs) != 1 || jobs.JSON200.Next == nil {
		return fmt.Errorf("jobs: %s %s", jobs.Status(), jobs.Body)
	}
	overview, err := api.GetOverviewWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	if overview.JSON200 == nil || overview.JSON200.Slots == 0 || overview.JSON200.Window == "" {
		return fmt.Errorf("overview: %s %s", overview.Status(), overview.Body)
	}
	queues, err := api.GetQueuesWithResponse(ctx)
	if err != nil {
		return err
	}
	if queues.JSON200 == nil || len(queues.JSON200.Queues) != 3 || queues.JSON200.Queues[0].Name != "high" {
		return fmt.Errorf("queues: %s %s", queues.Status(), queues.Body)
	}
	function, err := api.GetAutomationsModuleFunctionWithResponse(ctx, "sums", "add")
	if err != nil {
		return err
	}
	if function.JSON200 == nil || function.JSON200.Schema == nil || function.JSON200.Parameters[0].Name != "a" {
		return fmt.Errorf("function: %s %s", function.Status(), function.Body)
	}
	return executions(ctx, api)
}

// executions waits until history has the first job: it follows the queue.
func executions(ctx context.Context, api *client.ClientWithResponses) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := api.GetExecutionsWithResponse(ctx, &client.GetExecutionsParams{Q: new("function:sums.add state:finished")})
		if err != nil {
			return err
		}
		if found.JSON200 == nil {
			return fmt.Errorf("executions: %s %s", found.Status(), found.Body)
		}
		if list := found.JSON200.Executions; len(list) == 1 {
			if e := list[0]; e.JobId != "generated-1" || e.State != client.ExecutionStateFinished || e.TookSeconds == nil {
				return fmt.Errorf("executions: %s", found.Body)
			}
			fmt.Println("execution of", list[0].JobId)
			return nil
		}
		<-tick.C
	}
}

// problems reads errors by their types.
func problems(ctx context.Context, api *client.ClientWithResponses) error {
	missing, err := api.GetJobsIdWithResponse(ctx, "nothing", nil)
	if err != nil {
		return err
	}
	if p := missing.ApplicationproblemJSON404; p == nil || p.Code != "not_found" || p.Status != 404 {
		return fmt.Errorf("a job that is not there: %s", missing.Body)
	}
	wrong, err := api.PostJobsWithResponse(ctx, nil, client.NewJob{Function: "sums.add"})
	if err != nil {
		return err
	}
	p := wrong.ApplicationproblemJSON422
	if p == nil || p.Field == nil || *p.Field != "kwargs.a" || len(*p.Errors) == 0 {
		return fmt.Errorf("a wrong call: %s", wrong.Body)
	}
	stopped, err := api.PostJobsIdStopWithResponse(ctx, "generated-1", nil)
	if err != nil {
		return err
	}
	if p := stopped.ApplicationproblemJSON409; p == nil || p.Code != "conflict" {
		return fmt.Errorf("a stop of what ended: %s", stopped.Body)
	}
	fmt.Println(p.Code, *p.Field)
	return nil
}
