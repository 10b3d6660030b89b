ALTER TABLE "datasets" ADD COLUMN "chat" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "steerings" ADD COLUMN "chat" boolean DEFAULT false NOT NULL;