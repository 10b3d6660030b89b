ALTER TABLE "examples" DROP CONSTRAINT "examples_answer";--> statement-breakpoint
ALTER TABLE "models" ADD COLUMN "source" jsonb;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "initial_model_id" uuid;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_initial_model_id_models_id_fk" FOREIGN KEY ("initial_model_id") REFERENCES "models"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "runs_initial_model" ON "runs" USING btree ("initial_model_id");--> statement-breakpoint
ALTER TABLE "examples" ADD CONSTRAINT "examples_answer" CHECK ("examples"."kind" = 'QUESTION' or "examples"."answer" is null);