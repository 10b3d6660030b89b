CREATE TABLE "grokking_bindings" (
	"run_id" uuid NOT NULL,
	"step" integer NOT NULL,
	"hop" smallint NOT NULL,
	"top1" double precision NOT NULL,
	"top3" double precision NOT NULL,
	"top5" double precision NOT NULL,
	"diagonal_strength" double precision NOT NULL,
	"matrix" jsonb NOT NULL,
	"ablation_effect" double precision NOT NULL,
	"directions" real[] NOT NULL,
	CONSTRAINT "grokking_bindings_run_id_step_hop_pk" PRIMARY KEY("run_id","step","hop"),
	CONSTRAINT "grokking_bindings_hop" CHECK ("grokking_bindings"."hop" in (1, 2))
);
--> statement-breakpoint
CREATE TABLE "grokking_points" (
	"run_id" uuid NOT NULL,
	"step" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"seq" bigint,
	"train_questions" integer NOT NULL,
	"train_correct" integer NOT NULL,
	"held_out_questions" integer NOT NULL,
	"held_out_correct" integer NOT NULL,
	"one_hop_questions" integer,
	"one_hop_correct" integer,
	"loss" double precision NOT NULL,
	"weight_norm" double precision NOT NULL,
	"logit_margin" double precision NOT NULL,
	CONSTRAINT "grokking_points_run_id_step_pk" PRIMARY KEY("run_id","step"),
	CONSTRAINT "grokking_points_train" CHECK ("grokking_points"."train_correct" between 0 and "grokking_points"."train_questions"),
	CONSTRAINT "grokking_points_held_out" CHECK ("grokking_points"."held_out_correct" between 0 and "grokking_points"."held_out_questions"),
	CONSTRAINT "grokking_points_one_hop" CHECK ("grokking_points"."one_hop_correct" between 0 and "grokking_points"."one_hop_questions")
);
--> statement-breakpoint
CREATE TABLE "model_checkpoints" (
	"run_id" uuid NOT NULL,
	"step" integer NOT NULL,
	"model_id" uuid NOT NULL,
	CONSTRAINT "model_checkpoints_run_id_step_pk" PRIMARY KEY("run_id","step"),
	CONSTRAINT "model_checkpoints_model" UNIQUE("model_id"),
	CONSTRAINT "model_checkpoints_step" CHECK ("model_checkpoints"."step" >= 0)
);
--> statement-breakpoint
ALTER TABLE "run_events" DROP CONSTRAINT "run_events_type";--> statement-breakpoint
ALTER TABLE "runs" DROP CONSTRAINT "runs_kind";--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "step" integer;--> statement-breakpoint
ALTER TABLE "grokking_bindings" ADD CONSTRAINT "grokking_bindings_point" FOREIGN KEY ("run_id","step") REFERENCES "grokking_points"("run_id","step") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "grokking_points" ADD CONSTRAINT "grokking_points_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "model_checkpoints" ADD CONSTRAINT "model_checkpoints_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "model_checkpoints" ADD CONSTRAINT "model_checkpoints_model_id_models_id_fk" FOREIGN KEY ("model_id") REFERENCES "models"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_events" ADD CONSTRAINT "run_events_type" CHECK ("run_events"."type" in ('STATUS', 'LOG', 'PART', 'CELL', 'POINT'));--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_step" CHECK (("runs"."step" is not null) = ("runs"."kind" = 'CHECKPOINT_ANALYSIS'));--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_kind" CHECK ("runs"."kind" in ('MODEL', 'ALIGNMENT', 'BASELINE', 'SWAP_SWEEP', 'ALIGNMENT_SWEEP', 'GROKKING', 'CHECKPOINT_ANALYSIS'));