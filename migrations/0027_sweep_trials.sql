CREATE TABLE "sweep_answers" (
	"run_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"start" integer NOT NULL,
	"answers" text[] NOT NULL,
	"places" integer[] NOT NULL,
	"outcomes" smallint[] NOT NULL,
	CONSTRAINT "sweep_answers_run_id_position_start_pk" PRIMARY KEY("run_id","position","start")
);
--> statement-breakpoint
CREATE TABLE "sweep_swaps" (
	"run_id" uuid NOT NULL,
	"start" integer NOT NULL,
	"example_ids" uuid[] NOT NULL,
	"sources" smallint[] NOT NULL,
	"targets" smallint[] NOT NULL,
	"expected" jsonb NOT NULL,
	"before" text[] NOT NULL,
	"known" boolean[] NOT NULL,
	CONSTRAINT "sweep_swaps_run_id_start_pk" PRIMARY KEY("run_id","start")
);
--> statement-breakpoint
ALTER TABLE "sweep_answers" ADD CONSTRAINT "sweep_answers_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sweep_swaps" ADD CONSTRAINT "sweep_swaps_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;