CREATE TABLE "grokking_last_bindings" (
	"run_id" uuid NOT NULL,
	"step" integer NOT NULL,
	"hop" smallint NOT NULL,
	"top1" double precision NOT NULL,
	"top3" double precision NOT NULL,
	"top5" double precision NOT NULL,
	"diagonal_strength" double precision NOT NULL,
	"matrix" jsonb NOT NULL,
	"ablation_effect" double precision NOT NULL,
	CONSTRAINT "grokking_last_bindings_run_id_step_hop_pk" PRIMARY KEY("run_id","step","hop"),
	CONSTRAINT "grokking_last_bindings_hop" CHECK ("grokking_last_bindings"."hop" in (1, 2))
);
--> statement-breakpoint
ALTER TABLE "grokking_last_bindings" ADD CONSTRAINT "grokking_last_bindings_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;